/**
 * A bound on candidates that costs next to nothing: there are hundreds of thousands, and it rules out nearly all of
 * them. Stages with devices of their own are bounded once each, and every pair of them from that.
 */
import type { Plan, Stage } from '../plan/plan.js';
import { candidateBound, candidateHostPages, type PlanBound } from './bound.js';
import {
  boundedStage,
  holds,
  holdsOnHost,
  overheadOf,
  sequencesIn,
  stageLoad,
  type BoundContext,
} from './bounded-stage.js';
import type { Candidate } from './candidates.js';
import type { Demand } from './demand.js';
import { leastOfBoth, leastOfStage, type StageBound } from './least-seconds.js';
import { tailSeconds } from './likely-seconds.js';

/** Lower bounds on what a candidate takes, and its estimate. */
export interface BoundFigures {
  /** Seconds that the workload takes at least. */
  readonly least: number;
  /** Estimated seconds, see `PlanEstimate`; `least` until it is asked for. */
  readonly estimate: number;
  /** Seconds between two tokens of a request, at least. */
  readonly betweenTokens: number;
  /** The bound that the figures are from, where it is as close as can be before the candidate is compiled. */
  readonly bound?: PlanBound;
}

/** The bound of a candidate that fits, as far as is known. */
export interface RoughBound {
  /** The most sequences that memory has room for where they decode. */
  readonly sequences: number;
  /** Found when first asked for: for many candidates it is enough to know how many sequences they hold. */
  readonly figures: () => BoundFigures;
}

/**
 * The bound of a candidate; undefined where it certainly does not fit.
 *
 * @param by seconds from which on it does not matter how much longer a candidate takes: its bound may be no closer than
 *   that
 */
export type RoughBounds = (candidate: Candidate, by?: number) => RoughBound | undefined;

/**
 * Bounds on candidates for one demand, no higher than `candidateBound`. Candidates with the same stages differ in the
 * cap of KV in the host tier, which says whether they fit and no more, and have one bound. It is cached where stages do
 * not have devices of their own: it costs more for these, and they are not so many.
 */
export function createRoughBound(demand: Demand, context: BoundContext): RoughBounds {
  const known = new Map<Stage, BoundAlone | undefined>();
  const boundAlone = (base: Plan, stage: Stage): BoundAlone | undefined => {
    const bounded = boundedStage(base, stage, context);
    if (bounded === undefined || !holds(stage, bounded.pagesAlone, demand)) return undefined;
    const room = { handsOver: NONE, takesOver: NONE };
    const { pagesAlone } = bounded;
    const load = stageLoad(bounded, room);
    return {
      ...leastOfStage(load, pagesAlone, demand, overheadOf(base, context.engine)),
      tail: stage.phases.includes('decode') ? tailSeconds(load, pagesAlone, demand) : 0,
      sequences: sequencesIn(load, pagesAlone, demand),
    };
  };
  const alone = (base: Plan, stage: Stage): BoundAlone | undefined => {
    if (!known.has(stage)) known.set(stage, boundAlone(base, stage));
    return known.get(stage);
  };
  const together = new Map<Candidate['stages'], BoundOfStages | undefined>();
  const boundTogether = (candidate: Candidate): BoundOfStages | undefined => {
    const bound = candidateBound(candidate, context);
    if (bound === undefined || !bound.fits(demand)) return undefined;
    let figures: BoundFigures | undefined;
    return {
      fits: (hostPages) => bound.fits(demand, hostPages),
      sequences: bound.sequences(demand),
      figures: () => (figures ??= { ...leastFigures(bound, demand), bound }),
    };
  };
  const fits = (hostPages: number): boolean => holdsOnHost(hostPages, demand);
  const boundOf = (candidate: Candidate, by: number): BoundOfStages | undefined => {
    const { base, strategy, stages } = candidate;
    if (strategy !== 'disaggregated') {
      if (!together.has(stages)) together.set(stages, boundTogether(candidate));
      return together.get(stages);
    }
    const prefill = alone(base, stages[0]!);
    if (prefill === undefined) return undefined;
    // Prompts that are computed again make prefill no quicker.
    const { seconds } = prefill;
    const ofPrefill = { least: seconds, estimate: seconds, betweenTokens: 0 };
    if (seconds > by) return { fits, sequences: Infinity, figures: () => ofPrefill };
    const decode = alone(base, stages[1]!);
    if (decode === undefined) return undefined;
    return {
      fits,
      sequences: decode.sequences,
      figures: () => {
        const { step, request } = overheadOf(base, context.engine);
        const oneStep = step + request + Math.min(prefill.oneStep, decode.oneStep);
        const betweenTokens = demand.decodeRows === 0 ? 0 : oneStep;
        const least = leastOfBoth(prefill, decode);
        return { least, estimate: least + decode.tail, betweenTokens };
      },
    };
  };
  interface Last {
    readonly stages: readonly Stage[];
    readonly by: number;
    readonly bound: BoundOfStages | undefined;
  }
  let last: Last | undefined;
  return (candidate, by = Infinity) => {
    const { stages } = candidate;
    if (last?.stages !== stages || last.by !== by) last = { stages, by, bound: boundOf(candidate, by) };
    return last.bound?.fits(candidateHostPages(candidate)) ? last.bound : undefined;
  };
}

/**
 * The figures of a bound, with `least` in place of the estimate: that takes as long as all else, and most candidates do
 * without.
 */
export function leastFigures(bound: PlanBound, demand: Demand): BoundFigures {
  const least = bound.least(demand);
  return { least, estimate: least, betweenTokens: bound.betweenTokens(demand) };
}

/** The bound of all candidates with the same stages, which fit or not by the KV pages of their host tier. */
interface BoundOfStages extends RoughBound {
  readonly fits: (hostPages: number) => boolean;
}

/** The bound of a stage with devices of its own. */
interface BoundAlone extends StageBound {
  /** Estimated seconds of decoding a last request token by token; 0 where the stage does not decode. */
  readonly tail: number;
  readonly sequences: number;
}

const NONE: ReadonlySet<string> = new Set();
