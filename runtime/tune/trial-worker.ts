/** A worker thread of the trial pool: carries out the trials that it is sent. */
import { parentPort } from 'node:worker_threads';
import { kvView } from '../../compiler/model/kv-window.js';
import { candidateBound } from '../../compiler/planner/bound.js';
import { createBoundContext } from '../../compiler/planner/bounded-stage.js';
import { demandOf } from '../../compiler/planner/demand.js';
import { runThrough } from '../run-through.js';
import { trialInParts, type Trial, type TrialEnd, type TrialSetting } from './trial.js';

/** A trial without what cannot be sent: bounds are functions. */
export interface TrialTask {
  readonly trial: Omit<Trial, 'bound'>;
  readonly setting: Omit<TrialSetting, 'demand'>;
}

parentPort!.on('message', ({ trial, setting }: TrialTask) => {
  const { candidate, plan, runtime } = trial;
  const { requests, engine } = setting;
  const context = createBoundContext(plan.topology, engine);
  const bound = candidateBound(candidate, context)!.compiled(runtime);
  const demand = demandOf(requests, kvView(plan.model.shape, plan.kv.pageTokens));
  const end: TrialEnd = runThrough(trialInParts({ ...trial, bound }, { ...setting, demand }));
  parentPort!.postMessage(end);
});
