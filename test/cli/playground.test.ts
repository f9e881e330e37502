/** What the playground computes, without a browser: the same functions run in its worker. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compute, computeSimulation, MOST_REQUESTS } from '../../cli/playground/compute.js';

const SMALL = readFileSync('cli/playground/page/small.plan', 'utf8');

describe('the playground', () => {
  it('shows every level of every plan, and its graph', () => {
    const { problems, report, plans } = compute(SMALL);
    expect(problems).toEqual([]);
    expect(report).toBe('');
    expect(plans.map(({ name }) => name)).toEqual(['reshard', 'tensor']);
    for (const { levels, drawings } of plans) {
      expect(Object.keys(levels)).toEqual(['plan', 'logical', 'sharded', 'transitions', 'runtime']);
      for (const text of Object.values(levels)) expect(text.length).toBeGreaterThan(20);
      expect(drawings.map((drawing) => drawing.slice(0, 5))).toEqual(Array(4).fill('<svg '));
    }
    expect(plans[0]!.levels['sharded']).toContain('all_reduce');
  });

  it.each(['pod', 'seesaw-70b'])('has the example %s without errors', (name) => {
    const { problems } = compute(readFileSync(`plans/${name}.plan`, 'utf8'));
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  });

  it('marks what is wrong, and keeps the plans that are sound', () => {
    const text = SMALL.replace('mesh (tp: 4), microbatch', 'mesh (tp: 3), microbatch');
    const { problems, report, plans } = compute(text);
    expect(problems).toHaveLength(1);
    expect(text.slice(problems[0]!.start, problems[0]!.end)).toBe('(tp: 3)');
    expect(problems[0]!.message).toMatch(/^FC0405: .*\nhelp: /);
    expect(report).toContain('playground.plan:');
    expect(plans.map(({ name }) => name)).toEqual(['reshard']);
  });

  it('has an answer for any prefix of a file', () => {
    for (let end = 0; end < SMALL.length; end += 37)
      for (const { start, end: last } of compute(SMALL.slice(0, end)).problems) {
        expect(start).toBeLessThanOrEqual(last);
        expect(last).toBeLessThanOrEqual(end);
      }
  });

  it('says that a page cannot read a model from a folder', () => {
    const { problems } = compute(SMALL.replace(/family: llama[^}]*/, 'source: "./model"\n'));
    expect(problems.map(({ message }) => message).join('\n')).toContain('a page has no access to files');
  });

  it('simulates all plans under the first workload, as many requests as one waits for', () => {
    const simulated = computeSimulation(
      SMALL.replace('requests: 60', 'requests: 5000').replace(/output: \d+/, 'output: 2'),
    );
    if (!('page' in simulated)) throw new Error(simulated.why);
    expect(simulated.page).toContain(`${MOST_REQUESTS} requests (the first of 5000)`);
    expect(simulated.page).toContain('reshard');
    expect(simulated.page).toContain('tensor');
  });

  it('says what of the engine is not as in Fulcrum', () => {
    const text = SMALL.replace('gpu[4]: l4', 'gpu[4]: l4\n  overhead { host_overhead: false }');
    const few = text.replace('requests: 60', 'requests: 2');
    const simulated = computeSimulation(few);
    if (!('page' in simulated)) throw new Error(simulated.why);
    expect(simulated.page).toContain('m13b on machine; without host-overhead');
  });

  it('says why there is no simulation', () => {
    expect(computeSimulation('plan {')).toEqual({ why: 'The file has errors.' });
    expect(computeSimulation(SMALL.replace(/workload .*\n/, ''))).toEqual({
      why: expect.stringContaining('no workload'),
    });
  });
});
