/**
 * How much is known of a candidate. A closer look costs more, so each is taken where what is known does not show yet that it
 * cannot win:
 *
 *     rough bound -> bound -> estimated closely, where estimates decide -> compiled, with the bound of its exact room for KV
 */
import type { CompiledCandidate, PlanCompiler } from '../../compiler/compile.js';
import { numbered } from '../../compiler/numbered.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { neutralPageBytes } from '../../compiler/passes/kv-pools.js';
import { candidateBound, type PlanBound } from '../../compiler/planner/bound.js';
import type { BoundContext } from '../../compiler/planner/bounded-stage.js';
import { candidatePlan, hostKvBytes, type Candidate } from '../../compiler/planner/candidates.js';
import type { Demand } from '../../compiler/planner/demand.js';
import { leastFigures, type BoundFigures } from '../../compiler/planner/rough-bound.js';
import type { TrialSetting } from './trial.js';

/** A candidate, and what it comes to at best: seconds in all, and between two tokens. */
export interface Bounded extends BoundFigures {
  readonly candidate: Candidate;
  /** Its place among the candidates: of equals the first goes first. */
  readonly index: number;
  /** What the time between two tokens may well be, in the mean: `betweenTokens` at first. */
  readonly between: number;
  /** What its estimates are: no more than `least` at first, which is no longer. */
  readonly estimated?: 'roughly' | 'no closer' | 'closely';
  /** The plan, once its memory is compiled: the bound is that of its exact room for KV then. */
  readonly compiled?: { readonly plan: Plan } & Pick<CompiledCandidate, 'pools' | 'runtime'>;
}

export interface Compiled extends Bounded {
  readonly bound: PlanBound;
  readonly compiled: NonNullable<Bounded['compiled']>;
}

export function isCompiled(each: Bounded): each is Compiled {
  return each.compiled !== undefined;
}

/** What candidates are looked at with. */
export interface Look extends Pick<TrialSetting, 'byEstimate' | 'demand'> {
  readonly context: BoundContext;
  readonly compile: PlanCompiler;
  /** Before candidates are compiled, where no rough bound has one, and after. */
  readonly bounds: BoundsByStages;
  readonly exactBounds: BoundsByStages;
}

/** Bounds of plans. Of candidates that differ in the cap of KV in the host tier alone they are the same. */
export interface BoundsByStages {
  readonly get: (candidate: Candidate) => PlanBound | undefined;
  readonly set: (candidate: Candidate, bound: PlanBound) => void;
}

export function boundsByStages(): BoundsByStages {
  const idOf = numbered<unknown>();
  const known = new Map<string, PlanBound>();
  const key = ({ stages }: Candidate): string => stages.map(idOf).join();
  return {
    get: (candidate) => known.get(key(candidate)),
    set: (candidate, bound) => void known.set(key(candidate), bound),
  };
}

/** A candidate with the closest bound that there is without compiling it, or else compiled. Undefined where it does not fit. */
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
  const { pools, runtime } = compiled;
  if (compiled.diagnostics.some(({ severity }) => severity === 'error')) return undefined;
  const ofCompiled = exact ?? bound.compiled(compiled);
  exactBounds.set(each.candidate, ofCompiled);
  const found = withBound({ ...each, compiled: { plan, pools, runtime } }, ofCompiled, look);
  return found && look.byEstimate ? closely(found, ofCompiled, look) : found;
}

/** A candidate with its rough estimates. */
export function roughly(each: Bounded, bound: PlanBound, { demand }: Pick<Look, 'demand'>): Bounded {
  const [estimate, between] = [bound.estimate(demand), bound.estimateBetween(demand)];
  return { ...each, estimate, between, estimated: 'roughly' };
}

function closely(each: Bounded, bound: PlanBound, { demand }: Look): Bounded {
  const close = bound.closely(demand);
  if (close === undefined) return { ...roughly(each, bound, { demand }), estimated: 'no closer' };
  const { seconds, betweenTokens, waiting } = close;
  const between = betweenTokens + waiting * ofTurns(each.candidate, demand);
  return { ...each, estimate: seconds, between, estimated: 'closely' };
}

/**
 * What of the waits between two stages is left where prompts come in turns, each of them as many as the host tier has room
 * for: sequences wait for their own turn alone. Rather too little: some turns end before the tier is full.
 *
 *     room for two thirds of the prompts: 2/3 wait 2/3 as long as all would, and 1/3 wait 1/3 as long
 */
function ofTurns({ base }: Candidate, { decodingPages }: Demand): number {
  const room = (hostKvBytes(base) ?? Infinity) / neutralPageBytes(base);
  const turn = Math.min(1, room / Math.max(1, decodingPages));
  const whole = Math.floor(1 / turn);
  return RATHER_LITTLE * (whole * turn ** 2 + (1 - whole * turn) ** 2);
}

const RATHER_LITTLE = 0.95;

function withBound(each: Bounded, bound: PlanBound | undefined, { demand }: Look): Bounded | undefined {
  if (!bound?.fits(demand)) return undefined;
  const least = leastFigures(bound, demand);
  return { ...each, bound, ...least, between: least.betweenTokens, estimated: undefined };
}
