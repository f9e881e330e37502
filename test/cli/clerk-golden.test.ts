/** What `compile --emit` prints for every plan of plans/clerk.plan, level by level; `vitest -u` writes it anew. */
import { describe, expect, it } from 'vitest';
import { runInProcess } from './run-program.js';

const PLANS = ['reshard', 'pipeline', 'tensor', 'hybrid', 'replicas', 'single', 'split'];
const LEVELS = ['plan', 'logical', 'sharded', 'transitions', 'runtime'];

async function emit(plan: string, level: string): Promise<string> {
  const run = await runInProcess('compile', 'plans/clerk.plan', '--plan', plan, '--emit', level);
  expect(run).toMatchObject({ status: 0, err: '' });
  return run.out;
}

describe('golden levels of plans/clerk.plan', () => {
  for (const plan of PLANS)
    it.each(LEVELS)(`${plan}: %s`, async (level) => {
      await expect(await emit(plan, level)).toMatchFileSnapshot(`../golden/clerk/${plan}/${level}.txt`);
    });

  it('has one logical graph for all of them: it knows no devices', async () => {
    const graphs = await Promise.all(PLANS.map((plan) => emit(plan, 'logical')));
    expect(new Set(graphs).size).toBe(1);
  });
});
