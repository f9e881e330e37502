/** What bounds and estimates of a plan know of it. */
import type { EngineModel } from '../cost/engine-model.js';
import type { Overhead, Stage } from '../plan/plan.js';
import type { StageLoad } from './stage-load.js';

/** Seconds of a host for a step, and for each request in it. */
export type StepOverhead = Pick<Overhead, 'step' | 'request'>;

export interface HostTimes extends StepOverhead {
  /** Every replica has a host of its own; default: one prepares the steps of all. */
  readonly hostPerReplica?: boolean;
}

/** A plan with one stage for each phase, or one for both. */
export interface BoundedPlan {
  readonly overhead: HostTimes;
  readonly prefill: StageLoad;
  readonly decode: StageLoad;
  /** KV pages of a replica where it decodes. */
  readonly room: number;
  /** Where both stages have the same devices. */
  readonly shared: SharedPlaces | undefined;
  /** The stages are sure not to be resident at once: none runs a step while the devices are the other's. */
  readonly takesTurns: boolean;
  /**
   * For estimates: the rows of a step hold their share of the pages, however many steps are in flight, and sequences
   * decode in order of arrival.
   */
  readonly evenly?: boolean;
  readonly engine: EngineModel;
}

/** For every pipeline stage of decode those of prefill that stand on the same devices. */
export type SharedPlaces = readonly (readonly number[])[];

/**
 * Undefined where stages have devices of their own. Replicas of both are the same devices when there are equally many.
 */
export function sharedPlaces(prefill: Stage, decode: Stage): SharedPlaces | undefined {
  const { dp, pp, tp } = prefill.mesh;
  if (dp !== decode.mesh.dp) return undefined;
  if (prefill.devices !== decode.devices && prefill.devices.join() !== decode.devices.join())
    return undefined;
  const places = Array.from({ length: decode.mesh.pp }, () => new Set<number>());
  for (let rank = 0; rank < pp * tp; rank++)
    places[Math.floor(rank / decode.mesh.tp)]!.add(Math.floor(rank / tp));
  return places.map((each) => [...each]);
}
