/** A worker thread of the trial pool: carries out the trials that it is sent. */
import { parentPort } from 'node:worker_threads';
import { candidateBound } from '../../compiler/planner/bound.js';
import { createBoundContext } from '../../compiler/planner/bounded-stage.js';
import { runThrough } from '../run-through.js';
import { trialInParts, type Trial, type TrialEnd, type TrialSetting } from './trial.js';

/** A trial without what cannot be sent: bounds are functions. */
export interface TrialTask {
  readonly trial: Omit<Trial, 'bound'>;
  readonly setting: TrialSetting;
}

parentPort!.on('message', ({ trial, setting }: TrialTask) => {
  const { candidate, laidOut } = trial;
  const context = createBoundContext(candidate.base, setting.engine);
  const bound = candidateBound(candidate, context)!.compiled(laidOut);
  const end: TrialEnd = runThrough(trialInParts({ ...trial, bound }, setting));
  parentPort!.postMessage(end);
});
