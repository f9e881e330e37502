/**
 * What loads and prefill cost by the run so far. A rate counts once there is enough behind it: of a few bytes the time
 * is mostly that of waiting for a turn on the host's thread. And the disk's rate counts beside that of prefill only: what
 * a topology declares may be of other devices than those at hand, and one measured here says nothing beside it.
 */
import type { LoadCosts } from '../../compiler/ir/runtime-graph.js';

export interface MeasuredWork {
  /** Prompt tokens computed, and seconds in which any were. */
  readonly prefillTokens: number;
  readonly prefillSeconds: number;
  /** Bytes read from the disk tier, and bytes per second meanwhile; undefined before the first. */
  readonly diskBytes: number;
  readonly diskRate: number | undefined;
}

/** Prompt tokens after which the time they took says how long prefill takes. */
const MEASURED_TOKENS = 1024;
/** Bytes from disk after which the time they took says how quick it is. */
const MEASURED_BYTES = 4 * 1024 * 1024;

/** @param pageBytes of one page of the host tier */
export function measuredCosts(work: MeasuredWork, pageBytes: number): Partial<LoadCosts> {
  const { prefillTokens, prefillSeconds, diskBytes, diskRate } = work;
  if (prefillTokens < MEASURED_TOKENS) return {};
  const prefillToken = prefillSeconds / prefillTokens;
  if (diskRate === undefined || diskBytes < MEASURED_BYTES) return { prefillToken };
  return { prefillToken, diskPage: pageBytes / diskRate };
}
