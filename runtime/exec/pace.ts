/**
 * Keeps writes to a device from getting ahead of it: a pause after each, so that steps under way get their turn on the
 * event loop, and a bound on the staging memory that writes not yet executed hold.
 */
import type { Device } from '../device/device.js';
import { WINDOW_BYTES } from '../kv/move-sizes.js';

/** To be awaited after enqueuing so many bytes. */
export type Pace = (bytes: number) => Promise<void>;

export function createPace(device: Device): Pace {
  let window = 0;
  let before: Promise<void> = Promise.resolve();
  return async (bytes) => {
    window += bytes;
    if (window < WINDOW_BYTES) {
      await eventLoopTurn();
      return;
    }
    window = 0;
    const earlier = before;
    before = device.idle();
    // An error after the last window is reported by the device's next read.
    before.catch(() => undefined);
    await earlier;
  };
}

function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
