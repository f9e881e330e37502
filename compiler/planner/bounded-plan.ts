/**
 * A plan as bounds and estimates see it: the load of one stage for each phase, its KV pages, and the times of the host.
 */
import type { EngineModel } from '../cost/engine-model.js';
import type { Overhead, Stage } from '../plan/plan.js';
import type { StageLoad } from './stage-load.js';

/** Seconds of a host for a step, and for each request in it. */
export type StepOverhead = Pick<Overhead, 'step' | 'request'>;

/** Times of the host, and whether there are several. */
export interface HostTimes extends StepOverhead {
  /** Every replica has a host of its own; default: one host prepares the steps of all. */
  readonly hostPerReplica?: boolean;
}

/** A plan with one stage for each phase, or one for both: then `prefill` and `decode` are one object. */
export interface BoundedPlan {
  /** Times of the host. */
  readonly overhead: HostTimes;
  /** The stage that prefills. */
  readonly prefill: StageLoad;
  /** The stage that decodes. */
  readonly decode: StageLoad;
  /** KV pages of a replica where it decodes. */
  readonly room: number;
  /** Where both stages have the same devices; undefined where they do not. */
  readonly shared: SharedGroups | undefined;
  /**
   * The weights of both stages certainly are not on the devices at once: neither stage runs steps in the other's turn.
   */
  readonly takesTurns: boolean;
  /**
   * Only for estimates: KV pages are taken to be spread evenly over the steps in flight, however many these are, and
   * sequences to decode in order of arrival.
   */
  readonly evenly?: boolean;
  readonly engine: EngineModel;
}

/** For every pipeline stage of decode the pipeline stages of prefill that have devices in common with it. */
export type SharedGroups = readonly (readonly number[])[];

/**
 * The pipeline stages that share devices; undefined where the stages differ in devices or in the number of replicas.
 * With as many replicas, replica i of both stages has the same devices.
 */
export function sharedGroups(prefill: Stage, decode: Stage): SharedGroups | undefined {
  const { dp, pp, tp } = prefill.mesh;
  if (dp !== decode.mesh.dp) return undefined;
  if (prefill.devices !== decode.devices && prefill.devices.join() !== decode.devices.join())
    return undefined;
  const groups = Array.from({ length: decode.mesh.pp }, () => new Set<number>());
  for (let rank = 0; rank < pp * tp; rank++)
    groups[Math.floor(rank / decode.mesh.tp)]!.add(Math.floor(rank / tp));
  return groups.map((each) => [...each]);
}
