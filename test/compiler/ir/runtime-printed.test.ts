import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { printRuntime } from '../../../compiler/ir/print-runtime.js';
import { printTransitions } from '../../../compiler/ir/print-transitions.js';
import { makePlan, type PlanOptions } from '../support/make-plan.js';

const CASES: Readonly<Record<string, PlanOptions>> = {
  reshard: {
    stages: [
      { name: 'prefill', mesh: { pp: 4 } },
      { name: 'decode', mesh: { tp: 4 } },
    ],
  },
  replicas: {
    shape: { layers: 5, family: 'qwen2', qkvBias: true, tied: true },
    stages: [
      { name: 'prefill', mesh: { dp: 2, pp: 2 } },
      { name: 'decode', mesh: { dp: 2, tp: 2 } },
    ],
  },
  'kv-copies': {
    shape: { kvHeads: 2, outputBias: true, mlpBias: true },
    stages: [{ name: 'serve', mesh: { tp: 4 }, kvReplicas: 2 }],
  },
  override: {
    shape: { family: 'qwen3', qkNorm: true },
    stages: [
      {
        name: 'serve',
        mesh: { pp: 2, tp: 2 },
        overrides: [{ firstLayer: 0, lastLayer: 1, part: 'mlp', onTp: ['heads', 'kv_heads', 'vocab'] }],
      },
    ],
  },
  mixed: {
    stages: [
      { name: 'prefill', mesh: { tp: 2 }, onTp: ['heads', 'ffn'] },
      { name: 'decode', mesh: { tp: 2 }, onTp: ['kv_heads', 'vocab'] },
    ],
  },
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
