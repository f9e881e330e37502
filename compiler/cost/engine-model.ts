/** What the clock models of a serving engine beside the hardware, and the share of each of its virtual engines. */
import { onceForObject } from '../once.js';
import type { Topology } from '../plan/plan.js';

/**
 * Effects of a serving engine that the clock models beside the hardware. Each is a switch, so that a reader sees what a
 * result depends on: an ideal engine has all of them off.
 */
export interface EngineModel {
  /**
   * The times of `overhead` as the topology declares them: of the host for a step, for each request of it, to hand kernels
   * over and record them (`submit`, `encode`), to read samples and choose tokens; and of devices for each layer and kernel.
   */
  readonly hostOverhead: boolean;
  /** Matrix products of few rows reach less than large ones. */
  readonly smallGemmLoss: boolean;
  /**
   * Every microbatch of a pipeline has sequences and KV pages of its own, dealt on arrival (the virtual engines of
   * vLLM 0.5), where Fulcrum deals the running sequences anew for every step.
   */
  readonly virtualEngines: boolean;
  /** Copies between devices and tiers run beside kernels (copy engines); off: they wait in the device's one queue. */
  readonly copyEngines: boolean;
  /** A transition loads all weights of the next stage from the host, instead of what is missing. */
  readonly fullReload: boolean;
  /**
   * Every replica has a host process of its own, as where replicas are engines of their own; off: one host process
   * serves all replicas.
   */
  readonly hostPerReplica: boolean;
}

/** The effects by the names that plan files give them (`overhead`). */
export const ENGINE_EFFECTS = {
  host_overhead: 'hostOverhead',
  small_gemm_loss: 'smallGemmLoss',
  virtual_engines: 'virtualEngines',
  copy_engines: 'copyEngines',
  full_reload: 'fullReload',
  host_per_replica: 'hostPerReplica',
} as const satisfies Readonly<Record<string, keyof EngineModel>>;

/** Fulcrum's own executor: one queue per device. */
export const FULCRUM_ENGINE: EngineModel = {
  hostOverhead: true,
  smallGemmLoss: true,
  virtualEngines: false,
  copyEngines: false,
  fullReload: false,
  hostPerReplica: false,
};

/** The engine that a topology declares: Fulcrum's where it says nothing else. One and the same for a topology. */
export const engineOf = onceForObject((topology: Pick<Topology, 'engine'>): EngineModel => {
  return topology.engine ? { ...FULCRUM_ENGINE, ...topology.engine } : FULCRUM_ENGINE;
});

/**
 * Number of virtual engines: the pipeline depth if they are on and the plan has one stage, else 1.
 *
 * @param depths pipeline depth (`pp`) of every stage
 */
export function engineCount({ virtualEngines }: EngineModel, depths: readonly number[]): number {
  return virtualEngines && depths.length === 1 ? depths[0]! : 1;
}

/** The share of one engine in `count` pages or requests, rounded down; at least one. */
export function engineShare(count: number, engines: number): number {
  return engines === 1 ? count : Math.max(1, Math.floor(count / engines));
}
