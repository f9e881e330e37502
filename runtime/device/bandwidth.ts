/** What moving bytes really costs on a device, measured in about a second. */
import type { Device } from './device.js';

export interface MeasuredBandwidth {
  /** Bytes per second from host memory to the device, from it, and between two buffers on it (counted once). */
  readonly upload: number;
  readonly download: number;
  readonly copy: number;
  /** Seconds of one read of a few bytes: the round trip that every step pays. */
  readonly roundTrip: number;
}

const BYTES = 32 * 1024 * 1024;
const REPEATS = 4;

/** Best of a few runs, after one that warms staging memory; bytes per second. */
async function best(bytes: number, run: () => Promise<unknown>): Promise<number> {
  await run();
  let seconds = Infinity;
  for (let repeat = 0; repeat < REPEATS; repeat++) {
    const start = performance.now();
    await run();
    seconds = Math.min(seconds, (performance.now() - start) / 1000);
  }
  return bytes / seconds;
}

/** Measures on buffers of 32 MiB, which are freed again. The device should be idle. */
export async function measureBandwidth(device: Device): Promise<MeasuredBandwidth> {
  const from = device.createBuffer('bandwidth from', BYTES);
  const to = device.createBuffer('bandwidth to', BYTES);
  const data = new Uint8Array(BYTES).fill(1);
  try {
    const upload = await best(BYTES, async () => {
      device.write(from, 0, data);
      await device.idle();
    });
    const whole = [{ buffer: from, offset: 0, bytes: BYTES }];
    // Into memory that is in use: to page in new memory would take longer than what moves.
    const download = await best(BYTES, () =>
      device.readThrough(
        () => undefined,
        whole,
        (bytes) => data.set(bytes),
      ),
    );
    const copy = await best(BYTES, async () => {
      device.record((commands) => commands.copy(from, 0, to, 0, BYTES));
      await device.idle();
    });
    const reads = await best(1, () => device.read([{ buffer: to, offset: 0, bytes: 4 }]));
    return { upload, download, copy, roundTrip: 1 / reads };
  } finally {
    device.free(from);
    device.free(to);
  }
}
