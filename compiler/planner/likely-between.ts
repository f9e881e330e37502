/** Rough estimates of the time between two tokens of a request. No bounds. */
import { countInCommon } from '../in-common.js';
import type { BoundedPlan } from './bounded-plan.js';
import {
  disaggregatedConcurrency,
  fusedConcurrency,
  type DecodeConcurrency,
  type DisaggregatedConcurrency,
} from './decode-concurrency.js';
import type { SequencesInOrder } from './decode-rounds.js';
import type { Demand } from './demand.js';
import { DISAGGREGATED_WAIT_MARGIN, TURN_WAIT_MARGIN } from './estimate-margins.js';
import { leastBetweenTokens } from './least-seconds.js';
import { partsWaited } from './prompt-turns.js';
import { likelyAtOnce, promptWork, roundsInOrder, sum, type StageLoad } from './stage-load.js';

/**
 * Estimated seconds between two tokens of a request: a round of decode with as many rows as sequences have beside them,
 * and in a stage for both phases with the prompt tokens. No bound; what sequences wait between stages that take turns is
 * left out.
 *
 * @param handing how KV goes between stages on devices of their own
 */
export function likelyBetweenTokens(plan: BoundedPlan, demand: Demand, handing: Handing): number {
  const { prefill, decode, room } = plan;
  const { decodeRows, inOrder } = demand;
  if (decodeRows === 0) return 0;
  const { dp, pp } = decode.stage.mesh;
  const rounds = roundsInOrder(decode, room, demand);
  if (inOrder === undefined || rounds === 0) return leastBetweenTokens(plan, demand);
  const evenly = decodeRows / rounds / dp / pp;
  const atOnce = likelyAtOnce(decode.stage, room, demand);
  if (prefill !== decode)
    return countInCommon(prefill.stage.devices, decode.stage.devices) > 0
      ? roundOf(plan, demand, evenly)
      : betweenDisaggregated(plan, demand, inOrder, { ...handing, evenly, atOnce });
  const { maxTokens } = decode.sizes;
  const besideWith = (left: number): DecodeConcurrency => fusedConcurrency(inOrder, atOnce, dp * pp * left);
  const left = tokensLeft(evenly, maxTokens, (tokens) => besideWith(tokens).rows / dp / pp);
  const beside = besideWith(left);
  const rows = beside.rows / dp / pp;
  const tokens = Math.max(1, maxTokens - rows);
  const carrying = beside.promptTokens / dp / tokens;
  return roundOf(plan, demand, rows) + carrying * Math.max(0, ...secondsMore(decode, demand, rows, tokens));
}

/** Seconds of a round with so many rows in a step. */
function roundOf(
  { overhead, decode }: BoundedPlan,
  { decodeRows, decodeKeys }: Demand,
  rows: number,
): number {
  const row = decode.costs.rowsStep(Math.max(1, Math.round(rows)), decodeKeys / decodeRows);
  return overhead.step + overhead.request * rows + sum(row);
}

/** Steps whose rows leave no other part of their tokens to prompts than this are taken to be alike. */
const ALIKE = 0.02;

const MOST_TRIES = 8;

/**
 * Tokens of a step that decode rows leave to prompts: the fewer these are, the longer prompts take, and the fewer sequences
 * decode at once.
 *
 * @param rows of a step, to begin with
 * @param rowsWith of a step that leaves so many tokens to prompts
 */
function tokensLeft(rows: number, maxTokens: number, rowsWith: (left: number) => number): number {
  let [tried, low, high] = [rows, 0, maxTokens];
  for (let tries = 1; ; tries++) {
    const left = Math.max(1, maxTokens - tried);
    const found = rowsWith(left);
    if (tries === MOST_TRIES || Math.abs(Math.max(1, maxTokens - found) - left) <= ALIKE * left) return left;
    if (found > tried) low = tried;
    else high = tried;
    tried = low < found && found < high ? found : (low + high) / 2;
  }
}

/** How KV goes between stages on devices of their own. */
export interface Handing {
  /** Seconds of a page on its way from host to host, where pages go one after the other. */
  readonly pageSeconds: number;
  /** Pages that the tiers behind the devices have room for. */
  readonly pages: number;
}

/** What is known of decode on devices of its own. */
interface DisaggregatedDecode extends Handing {
  /** Rows of a step if all rounds have as many. */
  readonly evenly: number;
  /** Sequences that may decode at once. */
  readonly atOnce: number;
}

/**
 * The same where prompts are prefilled on devices of their own: with what sequences wait from their first token until they
 * begin, as their pages are handed over and as slots come free. No more wait at once than the tiers between the stages have
 * room for, and one that has yet to be sent there: then prefill waits.
 */
function betweenDisaggregated(
  plan: BoundedPlan,
  demand: Demand,
  sequences: SequencesInOrder,
  { evenly, atOnce, pageSeconds, pages }: DisaggregatedDecode,
): number {
  const { overhead, prefill, decode } = plan;
  const { dp, pp } = decode.stage.mesh;
  const { promptTokens, decodingPages, decoding, decodeRows } = demand;
  const work = promptWork(prefill, demand);
  // A pipeline has others to run while a step is prepared.
  const preparing = prefill.stage.mesh.pp === 1 ? work.steps * overhead.step : 0;
  const prefilling = Math.max(...prefill.costs.of(work)) + preparing;
  const paceOf = (seconds: number): number => (seconds > 0 ? promptTokens / seconds : Infinity);
  let round = roundOf(plan, demand, evenly);
  const concurrencyNow = (): DisaggregatedConcurrency =>
    disaggregatedConcurrency(
      sequences,
      atOnce,
      paceOf(prefilling) * round,
      paceOf(decodingPages * pageSeconds) * round,
    );
  round = roundOf(plan, demand, concurrencyNow().rows / dp / pp);
  const { rows, waited, waiting } = concurrencyNow();
  const mayWait = 1 + (pages * decoding) / Math.max(1, decodingPages);
  const waits = waited * Math.min(1, mayWait / Math.max(1, waiting)) * round;
  const handing = Math.max(...prefill.out) + Math.max(...decode.in) + pageSeconds;
  return (
    roundOf(plan, demand, rows / dp / pp) +
    (handing * decodingPages) / decodeRows +
    waits * DISAGGREGATED_WAIT_MARGIN
  );
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
  return carrying.map((seconds, pp) => seconds - without[pp]!);
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
  return (behindPrompts * prompts + aheadOfRows * rows) * ofTurns * TURN_WAIT_MARGIN;
}
