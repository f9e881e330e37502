/** A plan that re-shards, and requests: for tests of the clock. */
import type { SimulatedRequest } from '../../../runtime/clock/simulation.js';
import type { PlanOptions } from '../../compiler/support/make-plan.js';

/** Over four devices, which take turns. */
export const RESHARD: PlanOptions = {
  shape: { layers: 8, hidden: 256, heads: 8, kvHeads: 4, headDim: 32, ffn: 512, vocab: 512, context: 128 },
  stages: [
    { name: 'prefill', mesh: { pp: 4 }, microbatchTokens: 64 },
    { name: 'decode', mesh: { tp: 4 }, batchRequests: 8 },
  ],
};

/** All alike. */
export const requestsOf = (count: number, promptTokens: number, outputTokens: number): SimulatedRequest[] =>
  Array.from({ length: count }, () => ({ promptTokens, outputTokens }));
