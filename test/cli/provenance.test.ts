/** From a line of a plan to what it caused, and back. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { runInProcess } from './run-program.js';

const PLAN = 'plans/clerk.plan';
const lines = readFileSync(PLAN, 'utf8').split('\n');
/** The line (from 1) of plan `reshard` that has the text. */
const lineOf = (text: string): number =>
  lines.findIndex(
    (line, index) =>
      index >= lines.findIndex((each) => each.startsWith('plan reshard')) && line.includes(text),
  ) + 1;

const explain = (...args: string[]) => runInProcess('explain', ...args, '--plan', 'reshard');

describe('explain FILE:LINE', () => {
  it('lists the shardings, collectives and memory that a mesh caused', async () => {
    const line = lineOf('stage decode');
    const run = await explain(`${PLAN}:${line}`);
    expect(run).toMatchObject({ status: 0, err: '' });
    expect(run.out).toMatch(/^plan reshard$/m);
    expect(run.out).toMatch(/decode\/layers 0\.\.7\/\S+ {2}all_reduce<tp>\(o\) in each of 8 layers/);
    expect(run.out).toMatch(/decode\/layers 0\.\.7\/q_weight {2}f32\[heads@tp, /);
    expect(run.out).toMatch(/decode\/weights {2}mesh \(tp: 4\): .* of weights a device/);
    for (const place of run.out.match(/plans\/clerk\.plan:\d+/g)!) expect(place).toBe(`${PLAN}:${line}`);
  });

  it('lists sends of a pipeline, and the moves to where a mesh wants them', async () => {
    const mesh = await explain(`${PLAN}:${lineOf('stage prefill')}`);
    expect(mesh.out).toMatch(/prefill\/p0\/\d+ {2}pp 0 hands activations to pp 1/);
    const flow = await explain(`${PLAN}:${lineOf('stage decode')}`);
    expect(flow.out).toMatch(/prefill -> decode\/kv {2}KV prefill -> decode: through host/);
    expect(flow.out).toMatch(/prefill -> decode\/weights {2}a change from prefill to decode moves/);
  });

  it('is a document with --json, and says when nothing is traced to a line', async () => {
    const json = JSON.parse((await explain(`${PLAN}:${lineOf('stage decode')}`, '--json')).out) as object;
    expect(json).toMatchObject({ command: 'explain', version: 1, plans: [{ plan: 'reshard' }] });
    // Of settings of the whole plan nothing is traced, though they decide much.
    for (const line of [1, lineOf('residence:'), lineOf('kv {'), lineOf('flow ')]) {
      const { status, out } = await explain(`${PLAN}:${line}`);
      expect(status).toBe(0);
      expect(out).toMatch(new RegExp(`^nothing is traced to ${PLAN}:${line}: no split weight, `));
      expect(out).toContain(`are not traced; \`fulcrum explain ${PLAN}\` says`);
    }
  });
});

describe('explain --op', () => {
  it('leads back to the line, for every id that a line lists', async () => {
    const line = lineOf('stage decode');
    const listed = JSON.parse((await explain(`${PLAN}:${line}`, '--json')).out) as {
      plans: { caused: { id: string; place: string }[] }[];
    };
    const ids = listed.plans[0]!.caused.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const [collective] = ids.filter((id) => id.includes('layers'));
    const run = await explain(PLAN, '--op', collective!);
    expect(run.out).toMatch(new RegExp(`clerk\\.plan:${line}:`));
  });

  it('knows the ops of programs, and refuses what is none', async () => {
    const run = await explain(PLAN, '--op', 'decode/p0/1');
    expect(run.out).toMatch(/decode\/p0\/1 {2}all_reduce<tp>/);
    const unknown = await explain(PLAN, '--op', 'decode/p0/99999');
    expect(unknown).toMatchObject({ status: 2, out: '' });
    expect(unknown.err).toMatch('no plan has an op');
  });
});

describe('compile --emit LEVEL --origins', () => {
  it.each(['sharded', 'transitions', 'runtime'])('prints places behind the %s level', async (level) => {
    const args = ['compile', PLAN, '--plan', 'reshard', '--emit', level];
    const plain = await runInProcess(...args);
    const placed = await runInProcess(...args, '--origins');
    expect(plain.out).not.toMatch('clerk.plan:');
    expect(placed.out.match(/\/\/ plans\/clerk\.plan:\d+:\d+/g)!.length).toBeGreaterThan(1);
  });

  it.each([[[]], [['--emit', 'logical']]])('is refused where no line says a place: %j', async (level) => {
    const run = await runInProcess('compile', PLAN, '--plan', 'reshard', ...level, '--origins');
    expect(run).toMatchObject({ status: 2, out: '' });
    expect(run.err).toBe('error: --origins goes with --emit sharded, --emit transitions, --emit runtime\n');
  });
});
