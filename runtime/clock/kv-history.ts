/** KV in use over time: as many samples as a chart can show, however long the run. */
import type { SchedulerState } from '../scheduler/scheduler.js';
import type { KvSample } from './simulation.js';

/** Beyond this many samples every other one is dropped and they come half as often. */
const MOST_SAMPLES = 1024;

export interface KvHistory {
  /** Whether enough time has passed since the last sample. */
  readonly isDue: (time: number) => boolean;
  readonly add: (time: number, state: SchedulerState) => void;
  readonly samples: () => readonly KvSample[];
}

export function createKvHistory(): KvHistory {
  let samples: KvSample[] = [];
  let interval = 0;
  let last = -Infinity;
  return {
    isDue: (time) => time - last >= interval,
    add(time, state) {
      last = time;
      const pages = state.pools.reduce((sum, pool) => sum + pool.pages, 0);
      const free = state.pools.reduce((sum, pool) => sum + pool.free, 0);
      samples.push({
        time,
        device: pages === 0 ? 0 : 1 - free / pages,
        host: state.host.pages === 0 ? 0 : 1 - state.host.free / state.host.pages,
        running: state.running,
        waiting: state.waiting,
      });
      if (samples.length < MOST_SAMPLES) return;
      samples = samples.filter((_, index) => index % 2 === 0);
      interval = Math.max(2 * interval, (2 * time) / MOST_SAMPLES);
    },
    samples: () => samples,
  };
}
