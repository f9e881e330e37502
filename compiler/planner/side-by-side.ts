/** What prompts and decode side by side may well take, in one stage or in two with devices of their own: no bounds. */
import type { BoundedPlan } from './bounded-plan.js';
import { roundsWithPrompts, type SequencesInOrder } from './decode-rounds.js';
import type { Demand } from './demand.js';
import { likelyAtOnce, promptWork, sum } from './stage-load.js';

/**
 * Rounds of decode carry the prompts of those that are to join them. Steps that carry some compute, the others read
 * weights, so that both add up. That steps of a pipeline wait for the slowest around them is left out: where prompts come
 * one by one each keeps other devices from all but short steps, and where many come at once they share their waits.
 */
export function fusedSeconds(
  { decode: load, room }: BoundedPlan,
  demand: Demand,
  sequences: SequencesInOrder,
): number {
  const { dp, pp } = load.stage.mesh;
  const { promptTokens, promptPairs, decodeRows, decodeKeys } = demand;
  const atOnce = likelyAtOnce(load.stage, room, demand);
  const { maxTokens } = load.sizes;
  const roundsOf = (rowsOfStep: number): number =>
    roundsWithPrompts(sequences, atOnce, dp * pp * Math.max(1, maxTokens - rowsOfStep), true);
  const rowsOf = (rounds: number): number => decodeRows / dp / (pp * rounds);
  const fewest = roundsOf(0);
  if (fewest === 0) return 0;
  const full = Math.max(1, maxTokens - rowsOf(fewest));
  const rounds = roundsOf(rowsOf(fewest));
  const steps = pp * rounds;
  const mixed = Math.min(steps, promptTokens / dp / full);
  const part = (of: number, some: number): number => (of * some) / steps / dp;
  const work = (some: number, prompts: number, pairs: number) => ({
    steps: some,
    sampling: some,
    tokens: prompts + part(decodeRows, some),
    samples: part(decodeRows, some),
    pairs: pairs + part(decodeKeys, some),
    keys: prompts + part(decodeKeys, some),
  });
  const carrying = load.costs.of(work(mixed, promptTokens / dp, promptPairs / dp));
  const others = load.costs.of(work(steps - mixed, 0, 0));
  const busy = carrying.map((seconds, place) => seconds + others[place]!);
  return Math.max(...busy);
}

/**
 * Prompts come to decode as they are prefilled: few sequences decode before most have come, and the last of them with
 * hardly any other. How long a round takes hangs on the rows in its steps, and these on how many rounds there are.
 */
export function apartSeconds(
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
  const roundsOf = (seconds: number): number => roundsWithPrompts(sequences, atOnce, pace * seconds, false);
  const fewest = roundsOf(secondsOf(atOnce / dp / pp));
  const seconds = secondsOf(decodeRows / dp / pp / fewest);
  return roundsOf(seconds) * seconds;
}
