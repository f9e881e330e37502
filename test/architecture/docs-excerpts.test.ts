/**
 * Excerpts in the docs are what the compiler says. In docs/ir.md every line of a block `text LEVEL` stands, in order,
 * in the printed level of plans/clerk.plan, plan reshard. In docs/runtime-graph.md every JSON value occurs in that plan's graph.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from '../../grammar/parse.js';
import { printSyntax } from '../../grammar/print-syntax.js';
import { runInProcess } from '../cli/run-program.js';
import { fencesOf, strayLines } from './excerpts.js';
import { ROOT } from './source-files.js';

const LEVELS = ['syntax', 'plan', 'logical', 'sharded', 'transitions', 'runtime'];
const PLAN_FILE = 'plans/clerk.plan';

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

function printed(level: string): string {
  return level === 'syntax'
    ? printSyntax(parse(read(PLAN_FILE), PLAN_FILE).file)
    : read(`test/golden/clerk/reshard/${level}.txt`);
}

/** Whether `part` is somewhere in `whole`: equal, or an object with some of the fields. */
function occurs(part: unknown, whole: unknown): boolean {
  if (isPart(part, whole)) return true;
  return isObject(whole) && Object.values(whole).some((inner) => occurs(part, inner));
}

function isPart(part: unknown, whole: unknown): boolean {
  if (!isObject(part) || !isObject(whole)) return part === whole;
  if (Array.isArray(part) !== Array.isArray(whole)) return false;
  if (Array.isArray(part) && part.length !== Object.keys(whole).length) return false;
  return Object.entries(part).every(([key, value]) => isPart(value, whole[key]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

describe('excerpts of the levels in docs/ir.md', () => {
  const excerpts = fencesOf(read('docs/ir.md')).filter(({ info }) => info !== 'sh');

  it('show every level', () => {
    expect(excerpts.map(({ info }) => info)).toEqual(LEVELS.map((level) => `text ${level}`));
  });

  it.each(LEVELS)('are lines of the compiler: %s', (level) => {
    const [excerpt] = excerpts.filter(({ info }) => info === `text ${level}`);
    expect(strayLines(excerpt!.text, printed(level))).toEqual([]);
  });

  it('would be noticed if they were not', () => {
    const whole = 'a  b\n  c d\ne';
    expect(strayLines('a b\n…\ne', whole)).toEqual([]);
    expect(strayLines('  c …\n', whole)).toEqual([]);
    expect(strayLines('e\na b', whole)).toEqual(['a b']);
    expect(strayLines('c', whole)).toEqual(['c']);
  });
});

describe('values in docs/runtime-graph.md', () => {
  it('occur in the graph of the plan', async () => {
    const { out } = await runInProcess('compile', PLAN_FILE, '--plan', 'reshard');
    const graph: unknown = JSON.parse(out);
    const values = fencesOf(read('docs/runtime-graph.md')).filter(({ info }) => info === 'json');
    expect(values.length).toBeGreaterThan(4);
    for (const { text } of values) {
      const value: unknown = JSON.parse(text);
      const parts: readonly unknown[] = Array.isArray(value) ? value : [value];
      for (const part of parts) expect(occurs(part, graph), JSON.stringify(part)).toBe(true);
    }
  });

  it('would be noticed if they did not', () => {
    const whole = { a: [{ b: 1, c: [1, 2] }] };
    expect(occurs({ c: [1, 2] }, whole)).toBe(true);
    expect(occurs({ b: 2 }, whole)).toBe(false);
    expect(occurs({ c: [1] }, whole)).toBe(false);
  });
});
