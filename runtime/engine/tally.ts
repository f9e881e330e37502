/** What an engine has done since it was opened, counted as it happens, and the statistics that come of it. */
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { Device } from '../device/device.js';
import { createHostTime } from '../exec/host-time.js';
import type { HostTime } from '../exec/host-time.js';
import type { SchedulerState } from '../scheduler/scheduler.js';
import { createBusyClock } from './clock.js';
import type { BusyClock } from './clock.js';
import type { Prepared } from './prepare.js';
import type { EngineStats } from './types.js';

/** Actions overlap: a count is read and written only after what it counts has happened. */
export interface Tally {
  readonly tokens: { prompt: number; computed: number; generated: number };
  readonly steps: { prefill: number; decode: number };
  transitions: number;
  /** Bytes of weights uploaded by transitions, and of KV between device and host pages. */
  readonly bytes: { weights: number; kvOut: number; kvIn: number };
  readonly clocks: Readonly<Record<'prefill' | 'decode' | 'transition', BusyClock>>;
  /** The host's own work on steps. */
  readonly host: Readonly<Record<'prefill' | 'decode', HostTime>>;
  /** The host's own work on scheduling; counts the time that the call takes. */
  scheduling<T>(work: () => T): T;
  readonly scheduleSeconds: () => number;
}

export function createTally(): Tally {
  let scheduleSeconds = 0;
  return {
    tokens: { prompt: 0, computed: 0, generated: 0 },
    steps: { prefill: 0, decode: 0 },
    transitions: 0,
    bytes: { weights: 0, kvOut: 0, kvIn: 0 },
    clocks: { prefill: createBusyClock(), decode: createBusyClock(), transition: createBusyClock() },
    host: { prefill: createHostTime(), decode: createHostTime() },
    scheduling(work) {
      const began = performance.now();
      const result = work();
      scheduleSeconds += (performance.now() - began) / 1000;
      return result;
    },
    scheduleSeconds: () => scheduleSeconds,
  };
}

/** A moment's statistics: of the tally, and of what scheduler, devices and disk have counted themselves. */
export function statsOf(
  tally: Tally,
  scheduled: SchedulerState,
  prepared: Prepared,
  graph: RuntimeGraph,
  devices: ReadonlyMap<number, Device>,
): EngineStats {
  const { tokens, clocks, host, bytes } = tally;
  const { preemptions, spills, fetches, passedOver } = scheduled;
  const disk = prepared.disk?.stats();
  const memoryOf = (bytes: (memory: Device['memory']) => number): Readonly<Record<string, number>> =>
    Object.fromEntries(graph.devices.map(({ id, path }) => [path, bytes(devices.get(id)!.memory)]));
  return {
    promptTokens: tokens.prompt,
    reusedTokens: scheduled.reused,
    copiedPages: scheduled.copied,
    generatedTokens: tokens.generated,
    prefillSeconds: clocks.prefill.seconds(),
    decodeSeconds: clocks.decode.seconds(),
    transitionSeconds: clocks.transition.seconds(),
    transitionExposedSeconds: prepared.exposedSeconds(),
    transitions: tally.transitions,
    steps: { ...tally.steps },
    host: { schedule: tally.scheduleSeconds(), prefill: { ...host.prefill }, decode: { ...host.decode } },
    bytes: {
      ...bytes,
      load: prepared.loadedBytes,
      ...prepared.traffic,
      kvSpilled: disk?.bytesWritten ?? 0,
      kvFetched: disk?.bytesRead ?? 0,
    },
    tiers: { ...preemptions, failedSpills: spills.failed, failedFetches: fetches.failed, passedOver },
    peakMemory: memoryOf(({ peak }) => peak),
    plannedPeak: memoryOf(({ plannedPeak }) => plannedPeak),
  };
}
