/** Files that are there and hold no plan text, and places that cannot be written: each is named, and nothing is changed. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runInProcess } from './run-program.js';

const PLAN = `import { workstation } from "std/local"
model m { layers: 2, hidden: 64, heads: 8, kv_heads: 4, ffn: 96, vocab: 100, context: 128, weights: f32 }
plan p for m on workstation { stage serve: prefill + decode on gpu { mesh (tp: 4) } }
`;

let folder = '';
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fulcrum-unreadable-'));
  mkdirSync(at('folder.plan'));
  writeFileSync(at('good.plan'), PLAN);
  writeFileSync(at('none.plan'), '');
  // In a comment the bytes of Latin-1 are no error of the language.
  writeFileSync(at('latin.plan'), Buffer.from('// caf\u00e9\nparam   a: int = 1\n', 'latin1'));
  writeFileSync(at('imports.plan'), 'import { a } from "./latin.plan"\nimport { b } from "./folder.plan"\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a plan file without text', () => {
  it.each([
    ['folder.plan', 'it is a folder'],
    ['latin.plan', 'it is not UTF-8 text'],
    ['absent.plan', 'there is no such file'],
  ])('is refused as one: %s', async (name, why) => {
    for (const command of [['check'], ['compile'], ['compile', '--emit', 'syntax'], ['simulate']]) {
      const run = await runInProcess(...command, at(name));
      expect(run).toMatchObject({ status: 1, out: '' });
      expect(run.err).toContain(`error[FC0210]: cannot read ${at(name)}`);
      expect(run.err).toContain(why);
    }
  });

  it('is refused where it is imported', async () => {
    const run = await runInProcess('check', at('imports.plan'));
    expect(run.status).toBe(1);
    expect(run.err).toContain(`${at('latin.plan')} is not UTF-8 text`);
    expect(run.err).toContain(`${at('folder.plan')} is a folder`);
  });

  it('is left as it is by fmt, which goes on', async () => {
    const before = readFileSync(at('latin.plan'));
    writeFileSync(at('ugly.plan'), 'param   a: int = 1\n');
    const run = await runInProcess('fmt', at('latin.plan'), at('ugly.plan'));
    expect(run.status).toBe(1);
    expect(run.err).toContain('latin.plan is not UTF-8 text');
    expect(run.err).toContain('1 file formatted, 1 file with errors left as they are');
    expect(readFileSync(at('latin.plan'))).toEqual(before);
    expect(readFileSync(at('ugly.plan'), 'utf8')).toBe('param a: int = 1\n');
  });
});

describe('a workload whose file cannot be read', () => {
  const folderOf = 'loads';
  const plan = `${folderOf}/loads.plan`;
  beforeAll(() => {
    mkdirSync(at(`${folderOf}/folder.jsonl`), { recursive: true });
    writeFileSync(at(`${folderOf}/bad.jsonl`), '{"prompt": 8, "output": 4}\n{"prompt": 8}\n');
  });

  it.each([
    ['absent.jsonl', /absent\.jsonl: /],
    ['folder.jsonl', /folder\.jsonl: /],
    ['bad.jsonl', /bad\.jsonl:2:1: /],
  ])('is told with its place: %s', async (name, why) => {
    writeFileSync(at(plan), `${PLAN}workload mine { requests: "${name}" }\n`);
    const checked = await runInProcess('check', at(plan));
    expect(checked.status).toBe(1);
    expect(checked.err).toMatch(/loads\.plan:4:27: error\[FC0322\]: workload mine has no requests: /);
    expect(checked.err).toMatch(why);
    for (const command of ['simulate', 'tune']) {
      const run = await runInProcess(command, at(plan));
      expect(run.status).toBe(3);
      expect(run.err).toMatch(/loads\.plan:4:27: error\[FC0923\]: workload mine: cannot /);
      expect(run.err).toMatch(why);
    }
  });
});

describe('what names nothing', () => {
  it('is a folder without plan files to fmt', async () => {
    const run = await runInProcess('fmt', '--check', at('folder.plan'));
    expect(run).toMatchObject({ status: 2, err: `error: no plan file in ${at('folder.plan')}\n` });
  });

  it('is a line that a file does not have, and a file without a plan, to explain', async () => {
    for (const line of [0, 5]) {
      const run = await runInProcess('explain', `${at('good.plan')}:${line}`);
      expect(run).toMatchObject({ status: 2, out: '' });
      expect(run.err).toContain(`has no line ${line}: it has 4 lines`);
    }
    expect(await runInProcess('explain', at('none.plan'))).toMatchObject({
      status: 2,
      err: `error: ${at('none.plan')} has no plan\n`,
    });
  });
});

it('is said in plain words where a compiled plan cannot be written', async () => {
  const place = at('absent/graph.json');
  for (const level of [[], ['--emit', 'plan'], ['--emit', 'syntax']])
    expect(await runInProcess('compile', at('good.plan'), ...level, '-o', place)).toMatchObject({
      status: 3,
      out: '',
      err: `error[FC0940]: cannot write ${place}: no such file or directory\n`,
    });
});
