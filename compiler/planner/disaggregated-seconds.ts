/** An estimate of workloads in plans whose prefill and decode have devices of their own. */
import type { BoundedPlan } from './bounded-plan.js';
import { roundsWithPrompts, type SequencesInOrder } from './decode-rounds.js';
import type { Demand } from './demand.js';
import { likelyAtOnce, promptWork, sum } from './stage-load.js';

/**
 * Estimated seconds of a workload with prefill and decode on devices of their own. No bound.
 *
 * Prompts come to decode as they are prefilled: few sequences decode before most have come, and the last of them with
 * hardly any other. The seconds of a round depend on the rows in its steps, and these on how many rounds there are.
 */
export function disaggregatedSeconds(
  { prefill, decode, room }: BoundedPlan,
  demand: Demand,
  sequences: SequencesInOrder,
): number {
  const { dp, pp } = decode.stage.mesh;
  const { promptTokens, decodeRows, decodeKeys } = demand;
  if (decodeRows === 0) return 0;
  const prefilling = Math.max(...prefill.costs.of(promptWork(prefill, demand)));
  const atOnce = likelyAtOnce(decode.stage, room, demand);
  const secondsOf = (rowsOfStep: number): number =>
    sum(decode.costs.rowsStep(Math.max(1, Math.round(rowsOfStep)), decodeKeys / decodeRows));
  const pace = prefilling > 0 ? promptTokens / prefilling : Infinity;
  const roundsOf = (seconds: number): number => roundsWithPrompts(sequences, atOnce, pace * seconds);
  const fewest = roundsOf(secondsOf(atOnce / dp / pp));
  const seconds = secondsOf(decodeRows / dp / pp / fewest);
  return roundsOf(seconds) * seconds;
}
