/**
 * A bound on candidates that costs next to nothing: there are hundreds of thousands, and nearly all go by it. Of stages
 * with devices of their own each is bounded once, and every pair of them from that.
 */
import type { Plan, Stage } from '../plan/plan.js';
import { candidateBound, type PlanBound } from './bound.js';
import {
  boundedStage,
  holds,
  overheadOf,
  sequencesIn,
  stageLoad,
  type BoundContext,
} from './bounded-stage.js';
import type { Candidate } from './candidates.js';
import type { Demand } from './demand.js';
import { leastOfBoth, leastOfStage, type StageBound } from './least-seconds.js';

/** What a candidate comes to at best. */
export interface RoughBound {
  readonly least: number;
  /** What it may well come to; see `PlanBound`. */
  readonly estimate: number;
  readonly betweenTokens: number;
  /** Sequences that memory has room for where they decode, at most. */
  readonly sequences: number;
  /** Where it is as close as can be before the candidate is compiled. */
  readonly bound?: PlanBound;
}

/** Bounds on candidates for one demand, no higher than `candidateBound`. Undefined where one is sure not to fit. */
export function createRoughBound(
  demand: Demand,
  context: BoundContext,
): (candidate: Candidate) => RoughBound | undefined {
  const known = new Map<Stage, BoundAlone | undefined>();
  const boundAlone = (base: Plan, stage: Stage): BoundAlone | undefined => {
    const bounded = boundedStage(base, stage, context);
    if (bounded === undefined || !holds(stage, bounded.pagesAlone, demand)) return undefined;
    const room = { pages: new Map<string, number>(), handsOver: NONE, takesOver: NONE };
    const { pagesAlone } = bounded;
    return {
      ...leastOfStage(stageLoad(bounded, room), pagesAlone, demand, overheadOf(base, context.engine)),
      sequences: sequencesIn(stage, pagesAlone, demand),
    };
  };
  const alone = (base: Plan, stage: Stage): BoundAlone | undefined => {
    if (!known.has(stage)) known.set(stage, boundAlone(base, stage));
    return known.get(stage);
  };
  return (candidate) => {
    const { base, strategy, stages } = candidate;
    if (strategy !== 'disaggregated') {
      const bound = candidateBound(candidate, context);
      if (bound === undefined || !bound.fits(demand)) return undefined;
      return { ...boundFigures(bound, demand), bound };
    }
    const [prefill, decode] = [alone(base, stages[0]!), alone(base, stages[1]!)];
    if (prefill === undefined || decode === undefined) return undefined;
    const { step, request } = overheadOf(base, context.engine);
    const betweenTokens = step + request + Math.min(prefill.oneStep, decode.oneStep);
    const least = leastOfBoth(prefill, decode);
    return { least, estimate: least + decode.tail, betweenTokens, sequences: decode.sequences };
  };
}

export function boundFigures(bound: PlanBound, demand: Demand): RoughBound {
  return {
    least: bound.least(demand),
    estimate: bound.estimate(demand),
    betweenTokens: bound.betweenTokens(demand),
    sequences: bound.sequences(demand),
  };
}

interface BoundAlone extends StageBound {
  readonly sequences: number;
}

const NONE: ReadonlySet<string> = new Set();
