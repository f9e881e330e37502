/**
 * How much is known of a candidate. A closer look costs more, so each is taken where what is known does not show yet that it
 * cannot win:
 *
 *     rough bound -> bound -> estimated closely, where estimates decide -> compiled, with the bound of its exact room for KV
 */
import type { CompiledCandidate } from '../../compiler/compile.js';
import type { Plan } from '../../compiler/plan/plan.js';
import {
  candidateBound,
  candidateHostPages,
  pagesBehindDevices,
  type PlanBound,
} from '../../compiler/planner/bound.js';
import { candidatePlan, type Candidate } from '../../compiler/planner/candidates.js';
import { leastFigures, type BoundFigures } from '../../compiler/planner/rough-bound.js';
import { CLOSELY_BETWEEN, ROUGHLY_BETWEEN } from './estimate-margins.js';
import type { Survey } from './survey.js';
import type { TrialSetting } from './trial.js';

/** A candidate, with lower bounds on its seconds in all and between two tokens, and with estimates of them. */
export interface Bounded extends BoundFigures {
  readonly candidate: Candidate;
  /** Its place among the candidates: of equals the first goes first. */
  readonly index: number;
  /** Estimated seconds between two tokens, in the mean; the lower bound `betweenTokens` until it is estimated. */
  readonly between: number;
  /**
   * How `estimate` was found. Absent: it is still the lower bound `least`. `no closer`: only the rough estimate can be
   * made.
   */
  readonly estimated?: 'roughly' | 'no closer' | 'closely';
  /** As in `PlanEstimate`; absent before it is estimated. */
  readonly timesFilled?: number | undefined;
  /**
   * Seconds that it takes no less than as far as looks at other candidates tell, see `looks-at-others`; absent until
   * that is asked.
   */
  readonly atLeast?: number;
  /** The plan, once its memory is compiled: the bound is that of its exact room for KV then. */
  readonly compiled?: { readonly plan: Plan } & Omit<CompiledCandidate, 'diagnostics'>;
}

/** A candidate of which the rough bound is known and no more. */
export function boundedBy(candidate: Candidate, index: number, figures: BoundFigures): Bounded {
  return { candidate, index, ...figures, between: figures.betweenTokens };
}

/** Candidates bounded between two pauses. */
const PART = 100;

/**
 * Candidates that fit by their rough bounds, with pauses, in their order.
 *
 * @param isWanted whether one with such bounds is to be among them
 */
export function* boundedInParts(
  candidates: readonly Candidate[],
  { roughBound }: Pick<Survey, 'roughBound'>,
  isWanted: (figures: BoundFigures) => boolean = () => true,
): Generator<void, Bounded[]> {
  const bounded: Bounded[] = [];
  for (const [index, candidate] of candidates.entries()) {
    if (index % PART === PART - 1) yield;
    const figures = roughBound(candidate)?.figures();
    if (figures !== undefined && isWanted(figures)) bounded.push(boundedBy(candidate, index, figures));
  }
  return bounded;
}

/** A candidate that is compiled as far as its memory. */
export interface Compiled extends Bounded {
  readonly bound: PlanBound;
  readonly compiled: NonNullable<Bounded['compiled']>;
}

/** Whether a candidate is compiled. */
export function isCompiled(each: Bounded): each is Compiled {
  return each.compiled !== undefined;
}

/** Seconds between two tokens that a candidate takes no less than: for sure before it is estimated, and then as a rule. */
export function likelyBetween({
  betweenTokens,
  between,
  estimated,
}: Pick<Bounded, 'betweenTokens' | 'between' | 'estimated'>): number {
  if (estimated === undefined) return betweenTokens;
  return Math.max(betweenTokens, between * (estimated === 'closely' ? CLOSELY_BETWEEN : ROUGHLY_BETWEEN));
}

/** What closer looks go by. */
export interface Look extends Survey, Pick<TrialSetting, 'byEstimate' | 'goal'> {}

/**
 * The candidate after one closer look: with the closest bound that there is without compiling it; where it has that,
 * and estimates decide, estimated closely; and at last compiled. Undefined where it does not fit.
 */
export function lookCloser(each: Bounded, look: Look): Bounded | undefined {
  const { context, bounds, exactBounds } = look;
  const exact = exactBounds.get(each.candidate);
  const known = exact ?? each.bound ?? bounds.get(each.candidate);
  const bound = known ?? candidateBound(each.candidate, context);
  if (known === undefined && bound !== undefined) bounds.set(each.candidate, bound);
  if (bound === undefined || bound !== each.bound) return withBound(each, bound, look);
  if (look.byEstimate && (each.estimated ?? 'roughly') === 'roughly') return closely(each, bound, look);
  const plan = candidatePlan(each.candidate);
  const compiled = look.compile(plan);
  const { diagnostics, ...rest } = compiled;
  if (diagnostics.some(({ severity }) => severity === 'error')) return undefined;
  const ofCompiled = exact ?? bound.compiled(compiled);
  exactBounds.set(each.candidate, ofCompiled);
  const found = withBound({ ...each, compiled: { plan, ...rest } }, ofCompiled, look);
  return found && look.byEstimate ? closely(found, ofCompiled, look) : found;
}

/** The candidate with rough estimates of its seconds, and of the time between tokens where that counts. */
export function roughly(
  each: Bounded,
  bound: PlanBound,
  { demand, goal }: Pick<Look, 'demand' | 'goal'>,
): Bounded {
  const between =
    goal.kind === 'throughput'
      ? each.between
      : bound.estimate.betweenTokens(demand, pagesBehindDevices(each.candidate));
  const { estimate: estimates } = bound;
  const estimate = Math.max(each.least, estimates.roughly(demand));
  const timesFilled = estimates.timesFilled(demand);
  return { ...each, estimate, between, estimated: 'roughly', timesFilled, atLeast: undefined };
}

function closely(each: Bounded, bound: PlanBound, look: Look): Bounded {
  const close = bound.estimate.closely(look.demand, false, pagesBehindDevices(each.candidate));
  if (close === undefined) return { ...roughly(each, bound, look), estimated: 'no closer' };
  return {
    ...each,
    // Of what nobody has measured yet an estimate may be below the bound.
    estimate: Math.max(each.least, close.seconds),
    between: Math.max(each.betweenTokens, close.betweenTokens),
    estimated: 'closely',
    atLeast: undefined,
  };
}

function withBound(each: Bounded, bound: PlanBound | undefined, { demand }: Look): Bounded | undefined {
  if (!bound?.fits(demand, each.compiled?.hostPages ?? candidateHostPages(each.candidate))) return undefined;
  const least = leastFigures(bound, demand);
  return { ...each, bound, ...least, between: least.betweenTokens, estimated: undefined, atLeast: undefined };
}
