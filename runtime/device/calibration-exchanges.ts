/**
 * What the host does for the ranks of a group, as pipelines do it: exchanging values through its memory, reading samples
 * back. What is short is measured behind kernels, as it comes in runs: while these compute the host naps and threads of the
 * device and the driver come to rest, and a read that takes 60 us among other reads takes 300 then. What depends on bytes is
 * measured several times in a row: a write is carried out with the submit that follows it, so only in a row does it show
 * what it costs.
 */
import { activationStride } from '../../compiler/ir/device-layout.js';
import { sideBySide, sumInRankOrder } from '../exec/exchange.js';
import { mean, typical, typicalPart } from './calibration-rounds.js';
import type { Device, DeviceBuffer } from './device.js';

/** Seconds among so many devices. */
export interface MeasuredAmong {
  readonly devices: number;
  readonly seconds: number;
}

export interface MeasuredExchange {
  /** Devices that take part. */
  readonly devices: number;
  /** Seconds of an exchange of next to nothing, submits and reads included. */
  readonly latency: number;
  /** Bytes of the tensor per second beyond that. */
  readonly bandwidth: number;
  /** Times hardly grew with bytes: the bandwidth is that of the most bytes, latency and all, and no less than that. */
  readonly isFlat?: true;
}

export type Exchange = (
  devices: readonly Device[],
  buffers: readonly DeviceBuffer[],
  bytes: number,
) => Promise<unknown>;

/** Bytes of tensors that are exchanged: from those of a few rows to those of a large step. */
const SIZES = [4096, 64 * 1024, 512 * 1024, 2 * 1024 * 1024];
/** Columns of a tensor that is gathered; every rank has a part of them. */
const GATHERED_COLS = 256;
/** Exchanges in a row. */
const ROW = 4;

const readAll = (
  devices: readonly Device[],
  buffers: readonly DeviceBuffer[],
  bytes: number,
): Promise<Uint8Array[]> =>
  Promise.all(
    devices.map(async (device, i) => (await device.read([{ buffer: buffers[i]!, offset: 0, bytes }]))[0]!),
  );

/** Every rank's part to the host, the sum back to every rank. */
export const allReduceOnce: Exchange = async (devices, buffers, bytes) => {
  const sum = sumInRankOrder(await readAll(devices, buffers, bytes));
  devices.forEach((device, i) => device.write(buffers[i]!, 0, sum));
};

/** Of rows that many bytes have, as many columns of every rank as fit, side by side, to every rank. */
export const allGatherOnce: Exchange = async (devices, buffers, bytes) => {
  const cols = Math.floor(GATHERED_COLS / devices.length);
  const rows = bytes / (4 * GATHERED_COLS);
  const parts = await readAll(devices, buffers, rows * activationStride(cols) * 4);
  const whole = sideBySide(parts, cols, cols * devices.length);
  devices.forEach((device, i) => device.write(buffers[i]!, 0, whole));
};

/** From the first device to the second. */
export const sendOnce: Exchange = async ([from, to], [source, target], bytes) => {
  const [part] = await from!.read([{ buffer: source!, offset: 0, bytes }]);
  to!.write(target!, 0, part!);
};

/** Has the devices that take part compute for a while, until all are done. */
type Work = () => Promise<unknown>;

/**
 * The bandwidth that exchanges of several sizes show, and the latency of one of the least.
 *
 * @param work what the exchange comes behind
 */
export function measureExchange(
  devices: readonly Device[],
  once: Exchange,
  work: Work,
  roundSeconds: number,
): Promise<MeasuredExchange> {
  return withBuffers(devices, SIZES.at(-1)!, async (buffers) => {
    const times: { bytes: number; seconds: number }[] = [];
    for (const bytes of SIZES)
      times.push({
        bytes,
        seconds: await inARow(devices, () => once(devices, buffers, bytes), roundSeconds),
      });
    const { latency, ...line } = fitLine(times);
    const [least] = SIZES;
    const behind = await typicalBehind(work, () => once(devices, buffers, least!), roundSeconds);
    return { devices: devices.length, latency: Math.max(latency, behind - least! / line.bandwidth), ...line };
  });
}

/** Reading a few words from every device. */
export function measureReads(devices: readonly Device[], work: Work, roundSeconds: number): Promise<number> {
  const [bytes] = SIZES;
  return withBuffers(devices, bytes!, (buffers) =>
    typicalBehind(work, () => readAll(devices, buffers, bytes!), roundSeconds),
  );
}

/** Bytes that pass from one device to another beside those that compute. */
const PASSED = 64 * 1024;

/**
 * What handing a tensor from the last device, which has just computed, to the one before it keeps of its speed while all
 * others compute. The mean of all rounds: where threads of devices take a processor from it, most rounds lose nothing and
 * a few very much, and a run has both.
 *
 * @param work has a device compute, far longer than the exchange takes
 */
export function measureBeside(
  devices: readonly Device[],
  work: (device: number) => Promise<unknown>,
  roundSeconds: number,
): Promise<number> {
  const last = devices.length - 1;
  const pair = [devices[last]!, devices[last - 1]!];
  return withBuffers(pair, PASSED, async (buffers) => {
    const measure = (): Promise<number> =>
      typicalBehind(
        () => work(last),
        () => sendOnce(pair, buffers, PASSED),
        roundSeconds,
        mean,
      );
    const alone = await measure();
    let busy = true;
    const working = devices.slice(0, last).map(async (_device, i) => {
      while (busy) await work(i);
    });
    try {
      return Math.min(1, alone / (await measure()));
    } finally {
      busy = false;
      await Promise.all(working);
    }
  });
}

/** Seconds of something behind work. */
function typicalBehind(
  work: Work,
  once: () => Promise<unknown>,
  roundSeconds: number,
  of?: (times: readonly number[]) => number,
): Promise<number> {
  const round = async (): Promise<number> => {
    await work();
    const began = performance.now();
    await once();
    return (performance.now() - began) / 1000;
  };
  return typicalPart(round, roundSeconds, of);
}

/** Seconds of one of several in a row, after which the devices come to rest. */
async function inARow(
  devices: readonly Device[],
  once: () => Promise<unknown>,
  roundSeconds: number,
): Promise<number> {
  const row = async (): Promise<void> => {
    for (let i = 0; i < ROW; i++) await once();
    await Promise.all(devices.map((device) => device.idle()));
  };
  return (await typical(row, roundSeconds)) / ROW;
}

async function withBuffers<T>(
  devices: readonly Device[],
  bytes: number,
  work: (buffers: readonly DeviceBuffer[]) => Promise<T>,
): Promise<T> {
  const buffers = devices.map((device) => device.createBuffer('exchange', bytes));
  try {
    return await work(buffers);
  } finally {
    devices.forEach((device, i) => device.free(buffers[i]!));
  }
}

/** Of the time of the most bytes, the least part that is of bytes where they can be told from the rest. */
const TELLING = 0.01;

/**
 * Latency and bandwidth that seconds by bytes come nearest to, by the squares of relative errors: sizes lie far apart, and
 * each is to count. Disturbed times may fall with size: no bandwidth follows from them but the one that was reached.
 *
 * @param times by rising size
 */
export function fitLine(
  times: readonly { readonly bytes: number; readonly seconds: number }[],
): Omit<MeasuredExchange, 'devices'> {
  let [w, wx, wy, wxx, wxy] = [0, 0, 0, 0, 0];
  for (const { bytes, seconds } of times) {
    const weight = 1 / seconds ** 2;
    w += weight;
    wx += weight * bytes;
    wy += weight * seconds;
    wxx += weight * bytes * bytes;
    wxy += weight * bytes * seconds;
  }
  const rise = (w * wxy - wx * wy) / (w * wxx - wx * wx);
  const most = times.at(-1)!;
  const isFlat = rise * most.bytes < TELLING * most.seconds;
  const slope = isFlat ? most.seconds / most.bytes : rise;
  const latency = Math.max(0, (wy - slope * wx) / w);
  return { latency, bandwidth: 1 / slope, ...(isFlat && { isFlat }) };
}
