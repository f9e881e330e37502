/** Whether a search goes by estimates, and what it tolerates where it does unless it is told otherwise. */
import type { Candidate } from '../../compiler/planner/candidates.js';
import type { SimulatedRequest } from '../clock/simulation.js';

/** Default of `TuneOptions.tolerance` where estimates decide: what simulations leave out of real machines is more. */
export const TOLERANCE = 0.01;

/** Candidates times what a trial of each takes, in requests, below which going by bounds alone takes no longer than a second or two. */
const ESTIMATE_FROM = 20_000;

/** Steps of decode whose simulation takes as long as that of a request, whose rows share steps with those of others. */
const STEPS_OF_REQUEST = 20;

/** Whether estimates save anything worth saving. */
export function worthEstimating(
  candidates: readonly Candidate[],
  requests: readonly SimulatedRequest[],
): boolean {
  const steps = requests.reduce((most, { outputTokens }) => Math.max(most, outputTokens), 0);
  return candidates.length * (requests.length + steps / STEPS_OF_REQUEST) >= ESTIMATE_FROM;
}
