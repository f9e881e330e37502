/**
 * The host's own work on steps: seconds in which its thread was busy, by what for. Waiting for devices is in none of
 * them, so that they can be set against the time that devices take.
 */
export interface HostTime {
  /** Step arguments made and commands recorded. */
  encode: number;
  /** Commands and arguments handed to the devices. */
  submit: number;
  /** Partial values of an exchange added up, and what came of it written. */
  exchange: number;
  /** Tokens chosen from what the sample kernels report. */
  sample: number;
}

export function createHostTime(): HostTime {
  return { encode: 0, submit: 0, exchange: 0, sample: 0 };
}

/** Does the work and adds the seconds it took. */
export function timed<T>(time: HostTime, kind: keyof HostTime, work: () => T): T {
  const began = performance.now();
  try {
    return work();
  } finally {
    time[kind] += (performance.now() - began) / 1000;
  }
}
