/**
 * Writes to a device in small ranges with a pause after each, so that steps under way get their turn on the event
 * loop, and with a bound on the staging memory that writes not yet executed hold.
 */
import type { Device } from '../device/device.js';
import type { WeightRange } from '../weights/pack.js';
import type { Place } from './weight-arena.js';

/** Bytes enqueued before the writes two windows back must be done. */
const WINDOW_BYTES = 16 * 1024 * 1024;

export interface PacedWriter {
  /** Resolves when the last range is enqueued: commands submitted from then on find the bytes. */
  write(place: Place, ranges: Iterable<WeightRange>): Promise<void>;
  /** Bytes written so far. */
  readonly bytes: () => number;
}

export function createPacedWriter(device: Device): PacedWriter {
  let total = 0;
  let window = 0;
  let before: Promise<void> = Promise.resolve();
  return {
    async write({ buffer, offset }, ranges) {
      for (const { at, bytes } of ranges) {
        device.write(buffer, offset + at, bytes);
        total += bytes.byteLength;
        window += bytes.byteLength;
        if (window < WINDOW_BYTES) await eventLoopTurn();
        else {
          window = 0;
          const earlier = before;
          before = device.idle();
          // An error after the last window is reported by the device's next read.
          before.catch(() => undefined);
          await earlier;
        }
      }
    },
    bytes: () => total,
  };
}

function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
