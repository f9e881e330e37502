/** An engine for batches of which nothing is left to do. */
import type { Engine, EngineStats } from './types.js';

const NO_HOST_TIME = { encode: 0, submit: 0, exchange: 0, sample: 0 } as const;

/** Of an engine that has done nothing. */
export const NO_STATS: EngineStats = {
  promptTokens: 0,
  reusedTokens: { device: 0, host: 0, disk: 0 },
  copiedPages: 0,
  generatedTokens: 0,
  prefillSeconds: 0,
  decodeSeconds: 0,
  transitionSeconds: 0,
  transitionExposedSeconds: 0,
  transitions: 0,
  steps: { prefill: 0, decode: 0 },
  host: { schedule: 0, prefill: NO_HOST_TIME, decode: NO_HOST_TIME },
  bytes: {
    load: 0,
    weights: 0,
    kvOut: 0,
    kvIn: 0,
    kvSpilled: 0,
    kvFetched: 0,
    allReduce: 0,
    allGather: 0,
    send: 0,
  },
  tiers: { swapped: 0, dropped: 0, failedSpills: 0, failedFetches: 0, passedOver: { host: 0, disk: 0 } },
  peakMemory: {},
  plannedPeak: {},
};

/** Has no devices and no weights, and takes no requests. */
export function idleEngine(): Engine {
  return {
    submit: () => {
      throw new Error('an engine without devices was given a request');
    },
    run: () => Promise.resolve(),
    stats: () => NO_STATS,
    work: () => ({
      requests: { waiting: 0, prefilling: 0, running: 0, moving: 0, host: 0, disk: 0 },
      pages: [],
    }),
    pending: () => 0,
    dispose: () => Promise.resolve(),
  };
}
