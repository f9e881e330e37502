/** Writes to a device in small ranges, no faster than it takes them. */
import type { Device } from '../device/device.js';
import type { WeightRange } from '../weights/pack.js';
import { createPace } from './pace.js';
import type { Place } from './weight-arena.js';

export interface PacedWriter {
  /** Resolves when the last range is enqueued: commands submitted from then on find the bytes. */
  write(place: Place, ranges: Iterable<WeightRange>): Promise<void>;
  /** Bytes written so far. */
  readonly bytes: () => number;
}

export function createPacedWriter(device: Device): PacedWriter {
  const pace = createPace(device);
  let total = 0;
  return {
    async write({ buffer, offset }, ranges) {
      for (const { at, bytes } of ranges) {
        device.write(buffer, offset + at, bytes);
        total += bytes.byteLength;
        await pace(bytes.byteLength);
      }
    },
    bytes: () => total,
  };
}
