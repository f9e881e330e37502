/** A stage as bounds and estimates cost it: its load, and the work of its prefill and decode. */
import type { TotalWork } from '../cost/least-cost.js';
import type { StepSize } from '../cost/kernel-work.js';
import { engineShare } from '../cost/engine-model.js';
import type { Mesh, Stage } from '../plan/plan.js';
import { decodeRounds, decodeSteps } from './decode-rounds.js';
import type { Demand } from './demand.js';
import { mostHeld } from './held-prompts.js';
import type { PipelineCosts } from './pipeline-costs.js';
import type { StageOutline } from './stage-outline.js';

/**
 * Exact seconds of one step on each pipeline stage, with nothing else running (not a bound). Where replicas are not
 * alike, the mean over them.
 */
export type StepCostOf = (size: StepSize) => readonly number[];

/** What bounds and estimates need of a stage. */
export interface StageLoad {
  readonly stage: Stage;
  /** The most that one step of a replica may carry. */
  readonly sizes: StageOutline['sizes'];
  /** Lower bounds on costs: no more than any replica takes. */
  readonly costs: PipelineCosts;
  /** Lower bounds on costs in the mean over replicas; the same object as `costs` where all replicas are alike. */
  readonly meanCosts: PipelineCosts;
  /** Exact seconds of single steps. */
  readonly stepSeconds: StepCostOf;
  /** Virtual engines that share its pipeline, each with a part of batch and pages. */
  readonly engines: number;
  /**
   * By pipeline stage, seconds for each page that a rank moves to the host tier; 0 where the stage hands nothing over
   * there.
   */
  readonly out: readonly number[];
  /**
   * By pipeline stage, seconds for each page that a rank takes from the host tier; 0 where the stage takes none from
   * there.
   */
  readonly in: readonly number[];
}

/** The sum of some numbers. */
export const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);

/** The decode work of an average replica. */
export interface DecodeWork extends TotalWork {
  /** The most rows that a step has. */
  readonly inStep: number;
  /**
   * Steps of all replicas, as the host prepares them: fewer than `dp` times `steps` where some groups have none in the
   * last rounds.
   */
  readonly prepared: number;
}

/** Decode rows of the sequence with most tokens to go. They come in different steps, one after the other. */
export function rowsOfLongest({ longestOutput }: Pick<Demand, 'longestOutput'>): number {
  return Math.max(0, longestOutput - 1);
}

/**
 * Least decode work of an average replica. Each row of a step is a different sequence; they are dealt over `pp` steps
 * in flight and all hold their KV pages at the same time.
 *
 * @param room KV pages of a replica
 * @param evenly as in `BoundedPlan`: then it is what may well be, not the least
 */
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

/**
 * Estimated decode steps of all replicas, in the rounds of `roundsInOrder`; 0 where the order of arrival is not known.
 */
function stepsInOrder({ stage }: Pick<StageLoad, 'stage'>, room: number, demand: Demand): number {
  const { inOrder } = demand;
  return inOrder === undefined ? 0 : decodeSteps(inOrder, likelyAtOnce(stage, room, demand), stage.mesh);
}

/** Estimated rounds of decode where sequences come in order of arrival; 0 where that order is not known. */
export function roundsInOrder({ stage }: Pick<StageLoad, 'stage'>, room: number, demand: Demand): number {
  const { inOrder, decodeRows } = demand;
  if (inOrder === undefined || decodeRows === 0) return 0;
  return decodeRounds(inOrder, likelyAtOnce(stage, room, demand));
}

/**
 * Estimated sequences that decode at once on all replicas: the batch, or as many as have room if each holds the mean of
 * pages, and one more for what is left of that: where hardly any have room, it makes the difference.
 *
 * @param room KV pages of a replica
 */
export function likelyAtOnce({ mesh, batchRequests }: Stage, room: number, demand: Demand): number {
  const held = sequencesHeld(mesh, room, demand);
  return Math.max(1, Math.min(batchRequests, Math.ceil(held)));
}

/** Of sequences that fill fewer pages than this part of all, even the longest have room at once. */
const LEAST_FILLED = 0.5;

/**
 * How many times sequences fill the pages of all replicas, where pages run out before a batch is full; undefined where they
 * likely do not.
 */
export function timesFilled(
  { mesh, batchRequests }: Stage,
  room: number,
  demand: Demand,
): number | undefined {
  const held = sequencesHeld(mesh, room, demand);
  const times = demand.decoding / held;
  return held < batchRequests && times > LEAST_FILLED ? times : undefined;
}

/** Sequences that replicas have room for if each holds the mean of pages; infinite where nothing is known of pages. */
function sequencesHeld({ dp }: Mesh, room: number, { decodeRows, decodePages }: Demand): number {
  return room > 0 && decodePages > 0 ? (dp * room * decodeRows) / decodePages : Infinity;
}

/** Least prefill work of an average replica: all steps are full. */
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
