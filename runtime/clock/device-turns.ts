/** Turns of tp groups that have devices in common, within one residence: first come, first served on each device. */
export interface DeviceTurns {
  /** Calls back when all of the devices are the caller's: at once if nobody has any. */
  readonly take: (devices: readonly number[], taken: () => void) => void;
  /** The caller is done with all of them. */
  readonly giveBack: (devices: readonly number[]) => void;
}

interface Turn {
  /** Number of its devices that somebody else has first. */
  behind: number;
  readonly taken: () => void;
}

/** Devices that nobody has. */
export function createDeviceTurns(): DeviceTurns {
  const queues = new Map<number, Turn[]>();
  return {
    take(devices, taken) {
      const turn: Turn = { behind: 0, taken };
      for (const device of devices) {
        const queue = queues.get(device) ?? [];
        queues.set(device, queue);
        if (queue.length > 0) turn.behind++;
        queue.push(turn);
      }
      if (turn.behind === 0) taken();
    },
    giveBack(devices) {
      const next: Turn[] = [];
      for (const device of devices) {
        const queue = queues.get(device)!;
        queue.shift();
        if (queue[0] !== undefined && --queue[0].behind === 0) next.push(queue[0]);
      }
      for (const { taken } of next) taken();
    },
  };
}
