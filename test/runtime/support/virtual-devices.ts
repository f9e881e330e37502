/**
 * Devices on a virtual clock for the executor that runs on real ones: each carries out what it is given one after the
 * other, a kernel in a set time and KV pages at a set rate, and computes nothing. What the host does takes no time.
 */
import { createVirtualClock } from '../../../runtime/clock/virtual-clock.js';
import type { BufferRange, CommandList, Device, DeviceBuffer } from '../../../runtime/device/device.js';

export interface VirtualSpeed {
  /** Seconds of a kernel. */
  readonly kernel: number;
  /** Bytes per second of KV pages on their way to the host and back. */
  readonly pages: number;
}

export interface VirtualDevices {
  readonly now: () => number;
  /** When a device is done with all that it has been given so far. */
  readonly freeAt: (label: string) => number;
  readonly open: (count: number, labels: readonly string[]) => Promise<readonly Device[]>;
  /** Lets time pass until the promise has settled. */
  readonly during: <T>(work: Promise<T>) => Promise<T>;
}

/** Turns of the event loop in which nothing is given to a device: by then nobody is about to. */
const QUIET_TURNS = 20;

/** Kernels that gather pages for a move or spread them after it: what they take is part of the move. */
const isPacking = (key: string): boolean => /^(un)?pack_pages/.test(key);

export function virtualDevices({ kernel, pages }: VirtualSpeed): VirtualDevices {
  const clock = createVirtualClock();
  let given = 0;
  const free = new Map<string, number>();
  const freeAt = (label: string): number => Math.max(free.get(label) ?? 0, clock.now());
  const quiet = async (): Promise<void> => {
    for (let turns = 0, seen = given; turns < QUIET_TURNS; turns++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (given !== seen) [turns, seen] = [0, given];
    }
  };
  return {
    now: clock.now,
    freeAt,
    open: (count, labels) => Promise.resolve(labels.slice(0, count).map(device)),
    async during(work) {
      let settled = false;
      const end = (): void => {
        settled = true;
      };
      work.then(end, end);
      for (;;) {
        await quiet();
        if (settled) return work;
        if (!clock.advance()) throw new Error('nothing is under way on any device');
      }
    },
  };

  function device(label: string): Device {
    let written = 0;
    const memory = { live: 0, peak: 0, plannedPeak: 0 };
    const make = (name: string, bytes: number): DeviceBuffer => ({ label: name, bytes });
    const occupy = (seconds: number): void => {
      given++;
      free.set(label, freeAt(label) + seconds);
    };
    /** Seconds of what is recorded. */
    const secondsOf = (build: (commands: CommandList) => void): number => {
      let seconds = 0;
      build({
        dispatch(bound, _immediates, grid) {
          if (grid.some((size) => size === 0)) return;
          if (!isPacking(bound.kernel.key)) seconds += kernel;
        },
        copy: () => undefined,
        copyRows: () => undefined,
        clear: () => undefined,
      });
      return seconds;
    };
    const whenDone = (): Promise<void> =>
      new Promise((resolve) => {
        given++;
        clock.at(freeAt(label), resolve);
      });
    const sizeOf = (ranges: readonly BufferRange[]): number =>
      ranges.reduce((sum, { bytes }) => sum + bytes!, 0);
    return {
      label,
      limits: {
        maxBufferBytes: 1 << 30,
        maxBindingBytes: 1 << 30,
        offsetAlignment: 256,
        maxWorkgroupsPerDimension: 65535,
        subgroupSize: 0,
        features: new Set(),
      },
      lost: new Promise(() => undefined),
      createBuffer: make,
      createRowScratch: (name, bytes) => ({ ...make(name, bytes), rowBytes: 2048 }),
      createKernel: ({ key }) => Promise.resolve({ key }),
      bind: (bound) => ({ kernel: bound }),
      write({ label: name }, _offset, data) {
        given++;
        if (name === 'packed KV pages') written += data.byteLength;
        // Pages whose pieces are large are written where they lie.
        if (name.startsWith('kv ')) occupy(data.byteLength / pages);
      },
      record(build) {
        occupy(secondsOf(build) + written / pages);
        written = 0;
      },
      async read(ranges) {
        await whenDone();
        return ranges.map(({ bytes }) => new Uint8Array(bytes));
      },
      async readThrough(build, ranges, visit) {
        const bytes = sizeOf(ranges);
        occupy(secondsOf(build) + bytes / pages);
        await whenDone();
        visit(new Uint8Array(bytes));
      },
      idle: whenDone,
      free: () => undefined,
      memory,
      destroy: () => undefined,
    };
  }
}
