/** Plans whose printed levels are kept in `test/golden`. */
import type { PlanOptions } from './make-plan.js';

export const GOLDEN_PLANS: Readonly<Record<string, PlanOptions>> = {
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
};
