/** The plan that `fulcrum tune` began from, held against what it found. */
import { compileChecked } from '../compiler/check-and-compile.js';
import type { Plan } from '../compiler/plan/plan.js';
import type { Candidate } from '../compiler/planner/candidates.js';
import type { Simulation } from '../runtime/clock/simulation.js';
import { betterAsItIs, betterThanFound, candidateOf, isTried } from '../runtime/tune/own-plan.js';
import type { TuneResult } from '../runtime/tune/search.js';
import type { Survey } from '../runtime/tune/survey.js';
import type { Goal } from '../runtime/tune/trial.js';
import { listening } from './command.js';
import { isError, type CheckedFile } from './load-plan.js';
import { simulationReport } from './simulation-report.js';
import type { OwnPlan } from './tune-report.js';

/** A search that is done, for what the plan it began from is held against. */
interface OwnSearch {
  readonly checked: CheckedFile;
  readonly candidates: readonly Candidate[];
  readonly survey: Survey;
  readonly goal: Exclude<Goal, { kind: 'front' }>;
  readonly byEstimate: boolean;
  /** As in `TuneOptions`. */
  readonly tolerance: number;
  readonly result: TuneResult;
  readonly signal: AbortSignal;
}

/** The plan itself, where the search did not try it or left it out, and it is better than all that was found. */
export async function ownPlan(
  plan: Plan,
  { checked, candidates, survey, goal, byEstimate, tolerance, result, signal }: OwnSearch,
): Promise<OwnPlan | undefined> {
  const { ranked } = result;
  const best = ranked[0]?.simulation;
  const { requests } = survey;
  const isLeftOut = isTried(plan);
  const simulated = function* (): Generator<void, Simulation | undefined> {
    if (isLeftOut) {
      const itself = byEstimate || tolerance > 0 ? candidateOf(plan, candidates) : undefined;
      if (itself === undefined || ranked.some(({ candidate }) => candidate === itself)) return undefined;
      return yield* betterThanFound(itself, requests, { goal, survey, byEstimate }, best);
    }
    const { compiled, diagnostics } = compileChecked(checked, checked.path, { plans: [plan] });
    if (diagnostics.some(isError)) return undefined;
    return yield* betterAsItIs(plan, compiled[0]!.result, requests, goal, best);
  };
  const own = await listening(simulated(), signal);
  if (!own) return undefined;
  const { requestsPerSecond } = simulationReport({ plan: plan.name, simulation: own });
  const { betweenTokens } = own.latency;
  return { plan: plan.name, requestsPerSecond, betweenTokens, ...(isLeftOut && { leftOut: true }) };
}
