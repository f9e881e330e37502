/**
 * The steps that have been given out and not yet handed over whole, by device: a transition begins behind them, and
 * page moves go at another pace beside them. Steps leave a device in the order in which they entered it.
 */
import type { DeviceWork } from './device-queue.js';

/** The steps that devices have yet to be handed. */
export interface StepsInside {
  /** Whether a step that has been given out has yet to leave the device. */
  readonly isBusy: (device: number) => boolean;
  /** Has a listener told whenever a device gets to be busy. */
  readonly onBusy: (listener: (device: number) => void) => void;
  /** A step that will pass these devices has been given out. */
  readonly enter: (devices: readonly number[]) => void;
  /** A step that passes these devices has been handed to them whole. */
  readonly leave: (devices: readonly number[]) => void;
  /**
   * Calls back when every step given out so far has been handed to the device: at once if none is under way.
   *
   * @param last called before that when the last of them begins on the device, if it is handed over bit by bit
   */
  readonly whenCleared: (device: number, cleared: () => void, last?: (step: DeviceWork) => void) => void;
}

/** Somebody who waits until a device is cleared. */
interface Waiting {
  /** Steps that must still leave. */
  left: number;
  readonly cleared: () => void;
  /** Told once of the last of these steps. */
  last: ((step: DeviceWork) => void) | undefined;
}

interface DeviceSteps {
  /** Steps that have entered the device and not left it. */
  inside: number;
  /** How many of those have begun on it. */
  begun: number;
  /** The step that began last. */
  latest: DeviceWork | undefined;
  readonly waiting: Waiting[];
}

/** Devices that no step has been given out to. */
export function createStepsInside(): StepsInside & {
  /** A step begins on its devices. */
  readonly begin: (step: DeviceWork) => void;
} {
  const states: DeviceSteps[] = [];
  const listeners: ((device: number) => void)[] = [];
  const stateOf = (device: number): DeviceSteps =>
    (states[device] ??= { inside: 0, begun: 0, latest: undefined, waiting: [] });
  const tellOfLast = (waiting: Waiting, step: DeviceWork): void => {
    // One that is handed over as a whole may have left before it begins.
    if (step.inParts === undefined) return;
    const { last } = waiting;
    waiting.last = undefined;
    last?.(step);
  };
  return {
    isBusy: (device) => stateOf(device).inside > 0,
    onBusy: (listener) => void listeners.push(listener),
    enter(devices) {
      for (const device of devices)
        if (stateOf(device).inside++ === 0) for (const listener of listeners) listener(device);
    },
    begin(step) {
      for (const device of step.devices) {
        const state = stateOf(device);
        state.begun++;
        state.latest = step;
        for (const each of state.waiting) if (each.left === 1) tellOfLast(each, step);
      }
    },
    leave(devices) {
      for (const device of devices) {
        const state = stateOf(device);
        const { waiting } = state;
        state.inside--;
        state.begun--;
        if (waiting.length === 0) continue;
        // One that leaves was there before those waiting.
        for (const each of waiting) each.left--;
        while (waiting[0]?.left === 0) waiting.shift()!.cleared();
      }
    },
    whenCleared(device, cleared, last) {
      const { inside, begun, latest, waiting } = stateOf(device);
      if (inside === 0) {
        cleared();
        return;
      }
      const entry: Waiting = { left: inside, cleared, last };
      waiting.push(entry);
      if (inside === 1 && begun === 1) tellOfLast(entry, latest!);
    },
  };
}
