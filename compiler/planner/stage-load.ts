/**
 * What bounds count of a stage: its load, the work of its steps, and seconds of that on its devices.
 */
import type { TotalWork } from '../cost/least-cost.js';
import type { StepSize } from '../cost/kernel-work.js';
import { engineShare } from '../cost/engine-model.js';
import type { Stage } from '../plan/plan.js';
import { decodeRounds, decodeSteps } from './decode-rounds.js';
import type { Demand } from './demand.js';
import { mostHeld } from './held-prompts.js';
import type { PlaceCosts } from './place-costs.js';
import type { StageOutline } from './stage-outline.js';

/** Seconds of one step by pipeline stage, no less and no more than it takes by itself. */
export type StepSeconds = (size: StepSize) => readonly number[];

export interface StageLoad {
  readonly stage: Stage;
  readonly sizes: StageOutline['sizes'];
  readonly costs: PlaceCosts;
  /** In the mean over replicas; the same where all are alike. */
  readonly meanCosts: PlaceCosts;
  readonly stepSeconds: StepSeconds;
  /** Engines that share its pipeline, each with a part of batch and pages. */
  readonly engines: number;
  /** Seconds for each page that a rank moves to the host tier, and back. */
  readonly out: readonly number[];
  readonly in: readonly number[];
}

/**
 * Of the time that pages are on their way to a device in steps with exchanges, or from there: the rest goes beside those,
 * and beside what the host does between steps.
 */
export const SHOWN_MOVES = 0.75;

export const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);

export interface DecodeWork extends TotalWork {
  /** Rows of a step at most. */
  readonly inStep: number;
  /** Steps of all replicas, as the host prepares them: of the last rounds not every group has one. */
  readonly prepared: number;
}

/** Rows that the sequence with most tokens to go has yet to get into a step, one after the other. */
export function rowsOfLongest({ longestOutput }: Pick<Demand, 'longestOutput'>): number {
  return Math.max(0, longestOutput - 1);
}

/** Of a replica in the mean: rows in a step are sequences, dealt over `pp` steps, and hold their pages all at once. */
export function decodeWork(
  { stage, sizes, engines }: StageLoad,
  room: number,
  demand: Demand,
  evenly = false,
): DecodeWork {
  const { dp, pp } = stage.mesh;
  // An engine may have all of the shortest prompts.
  const held = mostHeld(demand.prompts, engineShare(room, engines));
  const running = Math.max(1, Math.min(engineShare(stage.batchRequests, engines), held));
  const inStep = Math.max(
    1,
    Math.min(sizes.maxTokens, sizes.maxSequences, Math.ceil(running * (engines / pp))),
  );
  // Without a pipeline all that hold pages are rows of a step, so that pages say more than the shortest prompts.
  const byPages = (pp === 1 || evenly) && room > 0 ? (pp * demand.decodePages) / room : 0;
  const inOrder = evenly ? pp * roundsInOrder({ stage }, room, demand) : 0;
  const full = Math.max(demand.decodeRows / inStep, byPages);
  // A sequence has one row in a step.
  const ofLongest = rowsOfLongest(demand);
  const steps = Math.max(full / dp, inOrder, ofLongest / dp);
  const least = Math.max(full, ofLongest);
  const prepared = inOrder > 0 ? Math.max(least, stepsInOrder({ stage }, room, demand)) : least;
  const tokens = demand.decodeRows / dp;
  const keys = demand.decodeKeys / dp;
  return { inStep, prepared, steps, sampling: steps, tokens, samples: tokens, pairs: keys, keys };
}

/** Steps in these rounds, over all replicas. */
function stepsInOrder({ stage }: Pick<StageLoad, 'stage'>, room: number, demand: Demand): number {
  const { inOrder } = demand;
  return inOrder === undefined ? 0 : decodeSteps(inOrder, likelyAtOnce(stage, room, demand), stage.mesh);
}

/** Rounds of decode as they may well be: sequences come in order of arrival; 0 where that is not known. */
export function roundsInOrder({ stage }: Pick<StageLoad, 'stage'>, room: number, demand: Demand): number {
  const { inOrder, decodeRows } = demand;
  if (inOrder === undefined || decodeRows === 0) return 0;
  return decodeRounds(inOrder, likelyAtOnce(stage, room, demand));
}

/** Sequences that decode at once as it may well be: they hold as many pages as in the mean. */
export function likelyAtOnce(
  { mesh, batchRequests }: Stage,
  room: number,
  { decodeRows, decodePages }: Demand,
): number {
  const held = room > 0 && decodePages > 0 ? (mesh.dp * room * decodeRows) / decodePages : Infinity;
  return Math.max(1, Math.floor(Math.min(batchRequests, held)));
}

/** Of a replica in the mean. */
export function promptWork({ stage, sizes }: StageLoad, { promptTokens, promptPairs }: Demand): TotalWork {
  const tokens = promptTokens / stage.mesh.dp;
  return {
    steps: tokens / sizes.maxTokens,
    sampling: 0,
    tokens,
    samples: 0,
    pairs: promptPairs / stage.mesh.dp,
    keys: tokens,
  };
}
