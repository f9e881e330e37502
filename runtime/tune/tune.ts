/** The tuner: a search that is driven to its end, with its trials in this thread or in workers beside it. */
import type { Candidate } from '../../compiler/planner/candidates.js';
import type { SimulatedRequest } from '../clock/simulation.js';
import { runThrough } from '../run-through.js';
import { searchInParts, type TuneOptions, type TuneResult } from './search.js';
import { trialInParts, type EndedTrial } from './trial.js';
import { openTrialPool, type TrialPoolOptions } from './trial-pool.js';

/** Simulates candidates until no other can be among the best, but for what is tolerated. */
export function tune(
  candidates: readonly Candidate[],
  requests: readonly SimulatedRequest[],
  options: TuneOptions = {},
): TuneResult {
  return runThrough(tuneInParts(candidates, requests, options));
}

/** As `tune`, with pauses in which it says what it has found so far. */
export function* tuneInParts(
  candidates: readonly Candidate[],
  requests: readonly SimulatedRequest[],
  options: TuneOptions = {},
): Generator<TuneResult, TuneResult> {
  const search = searchInParts(candidates, requests, { ...options, atOnce: 1 });
  let part = search.next(NONE);
  while (!part.done) {
    const said = part.value;
    const ended: EndedTrial[] = [];
    if (said.kind === 'start') {
      const parts = trialInParts(said.trial, said.setting);
      let step = parts.next();
      for (; !step.done; step = parts.next()) yield said.found;
      ended.push({ trial: said.trial, ...step.value });
    } else yield said.found;
    part = search.next(ended);
  }
  return part.value;
}

const NONE: readonly EndedTrial[] = [];

/**
 * As `tuneInParts`, with the trials in workers, as many at once as there are (see `atOnce`). When the signal
 * aborts, it ends with what it has found by then.
 */
export async function* tuneOnWorkers(
  candidates: readonly Candidate[],
  requests: readonly SimulatedRequest[],
  options: TuneOptions,
  pooled: TrialPoolOptions,
): AsyncGenerator<TuneResult, TuneResult> {
  const pool = openTrialPool(pooled);
  try {
    const search = searchInParts(candidates, requests, { ...options, atOnce: pool.workers });
    let part = search.next(NONE);
    while (!part.done) {
      const said = part.value;
      if (said.kind === 'start') pool.start(said.trial, said.setting);
      else yield said.found;
      const ended = said.kind === 'await' ? await pool.someEnded() : pool.ended();
      if (ended === undefined) return said.found;
      part = search.next(ended);
    }
    return part.value;
  } finally {
    await pool.close();
  }
}
