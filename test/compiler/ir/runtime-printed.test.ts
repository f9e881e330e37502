import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { printRuntime } from '../../../compiler/ir/print-runtime.js';
import { printTransitions } from '../../../compiler/ir/print-transitions.js';
import { GOLDEN_PLANS } from '../support/golden-plans.js';
import { makePlan, type PlanOptions } from '../support/make-plan.js';

const CASES: Readonly<Record<string, PlanOptions>> = {
  ...GOLDEN_PLANS,
  split: {
    stages: [
      { name: 'prefill', mesh: { pp: 2 }, devices: [0, 1] },
      { name: 'decode', mesh: { tp: 2 }, devices: [2, 3] },
    ],
  },
  static: {
    stages: [
      { name: 'prefill', mesh: { pp: 2 } },
      { name: 'decode', mesh: { pp: 2 } },
    ],
  },
};

describe('printed forms', () => {
  it.each(Object.entries(CASES))('%s', async (name, options) => {
    const { transitions, runtime, diagnostics } = compilePlan(makePlan({ name, ...options }));
    expect(diagnostics).toEqual([]);
    await expect(printTransitions(transitions)).toMatchFileSnapshot(`../../golden/${name}/transitions.txt`);
    await expect(printRuntime(runtime)).toMatchFileSnapshot(`../../golden/${name}/runtime.txt`);
  });

  it('names the plan token of a re-shard when asked', () => {
    const { transitions } = compilePlan(makePlan(CASES['reshard']!));
    const text = printTransitions(transitions, { origin: ({ file, span }) => `${file}:${span.start}` });
    expect(text).toContain('weights prefill -> decode // test.plan:20');
    expect(printTransitions(transitions)).not.toContain('test.plan');
  });
});
