/** Rough estimates of the time between two tokens of a request. No bounds. */
import type { BoundedPlan } from './bounded-plan.js';
import { companyOf } from './decode-rounds.js';
import type { Demand } from './demand.js';
import { leastBetweenTokens } from './least-seconds.js';
import { partsWaited } from './prompt-turns.js';
import { likelyAtOnce, roundsInOrder, sum, type StageLoad } from './stage-load.js';

/**
 * Estimated seconds between two tokens of a request: a round of decode with as many rows as sequences have beside them,
 * and in a stage for both phases with the prompt tokens. No bound; what sequences wait between stages is left out.
 */
export function likelyBetweenTokens(plan: BoundedPlan, demand: Demand): number {
  const { overhead, prefill, decode, room } = plan;
  const { decodeRows, decodeKeys, inOrder } = demand;
  if (decodeRows === 0) return 0;
  const { dp, pp } = decode.stage.mesh;
  const rounds = roundsInOrder(decode, room, demand);
  if (inOrder === undefined || rounds === 0) return leastBetweenTokens(plan, demand);
  const roundOf = (rows: number): number => {
    const row = decode.costs.rowsStep(Math.max(1, Math.round(rows)), decodeKeys / decodeRows);
    return overhead.step + overhead.request * rows + sum(row);
  };
  if (prefill !== decode) return roundOf(decodeRows / rounds / dp / pp);
  const { maxTokens } = decode.sizes;
  const atOnce = likelyAtOnce(decode.stage, room, demand);
  const tokensOfRound = dp * pp * Math.max(1, maxTokens - decodeRows / rounds / dp / pp);
  const beside = companyOf(inOrder, atOnce, tokensOfRound);
  const rows = beside.rows / dp / pp;
  const tokens = Math.max(1, maxTokens - rows);
  const carrying = beside.promptTokens / dp / tokens;
  return roundOf(rows) + carrying * Math.max(0, ...secondsMore(decode, demand, rows, tokens));
}

/**
 * By pipeline stage, how many seconds longer a step with `rows` decode rows takes if it carries `tokens` prompt tokens
 * as well.
 */
function secondsMore(
  { costs }: StageLoad,
  { decodeRows, decodeKeys, promptTokens, promptPairs }: Demand,
  rows: number,
  tokens: number,
): readonly number[] {
  const keys = decodeKeys / decodeRows;
  const without = costs.rowsStep(rows, keys);
  const carrying = costs.of({
    steps: 1,
    sampling: 1,
    tokens: rows + tokens,
    samples: rows,
    pairs: rows * keys + (tokens * promptPairs) / Math.max(1, promptTokens),
    keys: rows * keys + tokens,
  });
  return carrying.map((seconds, place) => seconds - without[place]!);
}

/** Seconds of each phase by itself: `prompts` of prefilling all prompts, `rows` of decoding all rows. */
export interface PhaseSeconds {
  readonly prompts: number;
  readonly rows: number;
}

/**
 * Estimated seconds by which waiting between first token and decode lengthens the time between two tokens, in the mean
 * over requests, where stages take turns: prompts and rows are done at an even rate, in order of arrival.
 *
 * Where prompts come in turns, each of them as many as the tiers have room for, sequences wait for their own turn alone.
 *
 *     room for two thirds of the prompts: 2/3 wait 2/3 as long as all would, and 1/3 wait 1/3 as long
 *
 * @param pages KV pages that the tiers behind the devices have room for
 */
export function likelyWaiting(
  { decode, room }: Pick<BoundedPlan, 'decode' | 'room'>,
  demand: Demand,
  { prompts, rows }: PhaseSeconds,
  pages: number,
): number {
  if (demand.inOrder === undefined) return 0;
  const turn = Math.min(1, Math.max(1, pages) / Math.max(1, demand.decodingPages));
  const whole = Math.floor(1 / turn);
  const ofTurns = whole * turn ** 2 + (1 - whole * turn) ** 2;
  const { behindPrompts, aheadOfRows } = partsWaited(
    demand.inOrder,
    likelyAtOnce(decode.stage, room, demand),
  );
  return (behindPrompts * prompts + aheadOfRows * rows) * ofTurns * RATHER_LITTLE;
}

/**
 * Factor that keeps the estimate rather short: of some 100 plans for the paper's machines, models and workloads none
 * waits less than 0.75 of what they are worked out to.
 */
const RATHER_LITTLE = 0.7;
