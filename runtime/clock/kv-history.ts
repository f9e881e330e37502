/** Samples over time of the KV in use and of where requests are. */
import type { SchedulerState } from '../scheduler/scheduler.js';
import { createSampler } from './sampler.js';
import type { KvSample } from './simulation.js';

/** Takes samples, from the states of all schedulers of a simulation. */
export interface KvHistory {
  /** Whether enough time has passed since the last sample. */
  readonly isDue: (time: number) => boolean;
  /** Adds a sample. */
  readonly add: (time: number, states: readonly SchedulerState[]) => void;
  /** Adds the state at the end of the run. */
  readonly close: (time: number, states: readonly SchedulerState[]) => void;
  readonly samples: () => readonly KvSample[];
}

/** @param owners pools with buffers of their own; pages of the others lie in those */
export function createKvHistory(owners: ReadonlySet<string>): KvHistory {
  const sampler = createSampler<KvSample>();
  const sampleOf = (time: number, states: readonly SchedulerState[]): KvSample => {
    const sum = (pick: (state: SchedulerState) => number): number =>
      states.reduce((total, state) => total + pick(state), 0);
    const used = (lists: (state: SchedulerState) => readonly { pages: number; free: number }[]): number => {
      const pages = sum((state) => lists(state).reduce((total, list) => total + list.pages, 0));
      const free = sum((state) => lists(state).reduce((total, list) => total + list.free, 0));
      return pages === 0 ? 0 : 1 - free / pages;
    };
    const hostPages = sum(({ host }) => host.pages);
    return {
      time,
      device: used(({ pools }) => pools.filter(({ pool }) => owners.has(pool))),
      host: hostPages === 0 ? 0 : sum(({ host }) => host.filled) / hostPages,
      disk: used(({ disk }) => [disk]),
      waiting: sum((state) => state.waiting),
      prefilling: sum((state) => state.prefilling),
      moving: sum((state) => state.pagingOut + state.pagingIn + state.spilling + state.fetching),
      onHost: sum((state) => state.onHost),
      onDisk: sum((state) => state.onDisk),
      running: sum((state) => state.running),
    };
  };
  return {
    isDue: sampler.isDue,
    samples: sampler.samples,
    add: (time, states) => sampler.add(time, sampleOf(time, states)),
    close: (time, states) => sampler.close(time, sampleOf(time, states)),
  };
}
