/** What is found out about candidates for one workload: once, for all who ask. */
import { createPlanCompiler, type PlanCompiler } from '../../compiler/compile.js';
import { engineOf, type EngineModel } from '../../compiler/cost/engine-model.js';
import { numbered } from '../../compiler/numbered.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { PlanBound } from '../../compiler/planner/bound.js';
import { createBoundContext, type BoundContext } from '../../compiler/planner/bounded-stage.js';
import { createRoughBound, type RoughBounds } from '../../compiler/planner/rough-bound.js';
import type { Candidate } from '../../compiler/planner/candidates.js';
import type { SimulatedRequest } from '../clock/simulation.js';
import { workloadOf, type TrialSetting } from './trial.js';

/** A workload, and what is known of the candidates for it. */
export interface Survey extends Pick<TrialSetting, 'engine' | 'requests' | 'demand'> {
  readonly context: BoundContext;
  readonly compile: PlanCompiler;
  /** Rough bounds of candidates for this workload. */
  readonly roughBound: RoughBounds;
  /** Bounds of plans before they are compiled, where no rough bound has one. */
  readonly bounds: BoundsByStages;
  /** Bounds of compiled plans, with their exact room for KV. */
  readonly exactBounds: BoundsByStages;
}

/** What a survey goes by. */
export interface SurveyOptions {
  /** Default: the engine that the topology declares. */
  readonly engine?: EngineModel;
  /** For searches that have plans in common. */
  readonly compile?: PlanCompiler;
}

/** @param base plan that all candidates have their model, topology and tiers from */
export function createSurvey(
  base: Plan,
  requests: readonly SimulatedRequest[],
  { engine = engineOf(base.topology), compile = createPlanCompiler() }: SurveyOptions = {},
): Survey {
  const workload = workloadOf(base, requests);
  const context = createBoundContext(base, engine);
  return {
    engine,
    ...workload,
    context,
    compile,
    roughBound: createRoughBound(workload.demand, context),
    bounds: boundsByStages(),
    exactBounds: boundsByStages(),
  };
}

/** Bounds of plans. Of candidates that differ in the cap of KV in the host tier alone they are the same. */
export interface BoundsByStages {
  readonly get: (candidate: Candidate) => PlanBound | undefined;
  readonly set: (candidate: Candidate, bound: PlanBound) => void;
}

function boundsByStages(): BoundsByStages {
  const idOf = numbered<unknown>();
  const known = new Map<string, PlanBound>();
  const key = ({ stages }: Candidate): string => stages.map(idOf).join();
  return {
    get: (candidate) => known.get(key(candidate)),
    set: (candidate, bound) => void known.set(key(candidate), bound),
  };
}
