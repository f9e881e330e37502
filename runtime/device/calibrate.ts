/**
 * Measures what the cost model wants to know of a machine, with the kernels and transfers that runs use. Kernels are
 * measured on one device while the others are idle, and some of them on several at once: devices that share a processor
 * or a memory show what each keeps of its speed.
 *
 * Every figure is the best of some rounds, of many where they are short: what disturbs a measurement makes it slower,
 * never faster.
 */
import { activationStride } from '../../compiler/ir/device-layout.js';
import { ATTENTION_TILE_ROWS, type KernelRequest, type KernelVariant } from '../kernels/kernel.js';
import { kernelVariants } from '../kernels/library.js';
import { measureBandwidth, type MeasuredBandwidth } from './bandwidth.js';
import type { BoundKernel, Device, DeviceBuffer } from './device.js';

/** FLOP/s of a matrix product on one device while the others are idle. */
export interface MeasuredGemm {
  readonly rows: number;
  readonly n: number;
  readonly k: number;
  readonly flops: number;
}

/** What devices that compute at the same time leave each other. */
export interface MeasuredSharing {
  readonly devices: number;
  /** Fraction of the speed alone: the geometric mean over some kernels, and the least and the most of them. */
  readonly kept: number;
  readonly least: number;
  readonly most: number;
}

export interface MeasuredExchange {
  /** Devices that take part. */
  readonly devices: number;
  /** Seconds of an all-reduce of next to nothing, submits and reads included. */
  readonly latency: number;
  /** Bytes of the tensor per second beyond that. */
  readonly bandwidth: number;
}

export interface Calibration {
  readonly devices: number;
  readonly gemm: readonly MeasuredGemm[];
  /** FLOP/s of attention over a prompt. */
  readonly attention: number;
  /** Bytes per second that an elementwise kernel reads and writes. */
  readonly memory: number;
  /** Of two devices and of all; empty for one device. */
  readonly shared: readonly MeasuredSharing[];
  /** Of one device while the others are idle: what moves is rarely on all at once. */
  readonly staging: MeasuredBandwidth;
  /** Seconds that one more kernel in a submit takes a device. */
  readonly dispatch: number;
  /** Seconds from a submit of next to nothing until the host knows that it is done. */
  readonly submit: number;
  /** All-reduces among two devices and among all; empty for one device. */
  readonly allReduce: readonly MeasuredExchange[];
  /** From one device to another; absent for one device. */
  readonly send?: MeasuredExchange;
}

/** How long and how much is measured. */
export interface CalibrationEffort {
  /** Rounds of a measurement go on for so many seconds. */
  readonly seconds: number;
  /** Rows of the matrix products, and their outputs and inputs. */
  readonly rows: readonly number[];
  readonly shapes: readonly (readonly [n: number, k: number])[];
}

/** Square products of small models and a wide one. */
export const FULL_EFFORT: CalibrationEffort = {
  seconds: 0.3,
  rows: [1, 4, 16, 64, 256],
  shapes: [
    [256, 256],
    [768, 768],
    [2048, 768],
  ],
};

/** For a rough idea. */
export const QUICK_EFFORT: CalibrationEffort = { seconds: 0.03, rows: [1, 16, 64], shapes: [[256, 256]] };

/** Rounds of a measurement, however long they take. */
const ROUNDS = { least: 3, most: 200 };
const POSITIONS = 256;
const ELEMENTWISE = { rows: 512, cols: 4096 };
const DISPATCHES = 256;
const TENSOR = { small: 4096, large: 2 * 1024 * 1024 };

/** Takes half a minute or so in full. The devices should be idle; what is allocated on them is freed again. */
export async function calibrate(
  devices: readonly Device[],
  say: (what: string) => void,
  { seconds: roundSeconds, rows: allRows, shapes }: CalibrationEffort = FULL_EFFORT,
): Promise<Calibration> {
  const one = devices.slice(0, 1);
  say('kernels');
  const { dispatch, submit } = await launchSeconds(devices[0]!, roundSeconds);
  const gemm: (MeasuredGemm & { readonly probe: Probe })[] = [];
  for (const [n, k] of shapes)
    for (const rows of allRows) {
      const flop = 2 * rows * n * k;
      const probe = await measureAlone(one, gemmRun(rows, n, k), flop, roundSeconds);
      const { seconds } = probe;
      gemm.push({ rows, n, k, flops: flop / Math.max(seconds - dispatch, seconds / 2), probe });
    }
  const attentionFlop = 4 * ((POSITIONS * (POSITIONS + 1)) / 2) * ATTENTION.heads * ATTENTION.headDim;
  const attention = await measureAlone(one, attentionRun(), attentionFlop, roundSeconds);
  const { rows, cols } = ELEMENTWISE;
  const memory = await measureAlone(one, addRun(rows, cols), 12 * rows * cols, roundSeconds);
  const groups = [...new Set([2, devices.length])].filter((size) => size > 1 && size <= devices.length);
  say('devices at once');
  // Few rows and many, of a product of middling size.
  const [n, k] = shapes[shapes.length >> 1]!;
  const products = gemm.filter((each) => each.n === n && each.k === k && each.rows > 1);
  const probes = [...products.map(({ probe }) => probe), attention, memory];
  const shared: MeasuredSharing[] = [];
  for (const size of groups) shared.push(await measureSharing(devices.slice(0, size), probes, roundSeconds));
  say('transfers');
  const staging = await measureBandwidth(devices[0]!);
  say('exchanges');
  const allReduce: MeasuredExchange[] = [];
  for (const size of groups)
    allReduce.push(await exchange(devices.slice(0, size), allReduceOnce, roundSeconds));
  return {
    devices: devices.length,
    gemm: gemm.map(({ probe: _probe, ...each }) => each),
    attention: attentionFlop / attention.seconds,
    memory: (12 * rows * cols) / memory.seconds,
    shared,
    staging,
    dispatch,
    submit,
    allReduce,
    ...(devices.length > 1 && { send: await exchange(devices.slice(0, 2), sendOnce, roundSeconds) }),
  };
}

/** A kernel that was measured on one device, to be measured on several. */
interface Probe {
  readonly run: KernelRun;
  readonly work: number;
  /** Seconds of one run. */
  readonly seconds: number;
}

async function measureAlone(
  devices: readonly Device[],
  run: KernelRun,
  work: number,
  roundSeconds: number,
): Promise<Probe> {
  return { run, work, seconds: await kernelSeconds(devices, run, work, roundSeconds) };
}

async function measureSharing(
  devices: readonly Device[],
  probes: readonly Probe[],
  roundSeconds: number,
): Promise<MeasuredSharing> {
  const kept: number[] = [];
  for (const { run, work, seconds } of probes)
    kept.push(Math.min(1, seconds / (await kernelSeconds(devices, run, work, roundSeconds))));
  const logs = kept.reduce((sum, each) => sum + Math.log(each), 0);
  return {
    devices: devices.length,
    kept: Math.exp(logs / kept.length),
    least: Math.min(...kept),
    most: Math.max(...kept),
  };
}

/** A kernel with its operands, to be run with so many rows or tiles. */
interface KernelRun {
  readonly request: KernelRequest;
  readonly rows: number;
  readonly immediates: readonly number[];
  /** Bytes of every operand. */
  readonly operands: readonly number[];
  /** First words of operands that are not all zero. */
  readonly contents?: Readonly<Record<number, Uint32Array>>;
}

const WORD = 4;

function gemmRun(rows: number, n: number, k: number): KernelRun {
  return {
    request: { kernel: 'matmul', params: { n, k, bias: 0 }, dtype: 'f32' },
    rows,
    immediates: [rows],
    operands: [rows * activationStride(k), n * activationStride(k), rows * activationStride(n)].map(
      (words) => words * WORD,
    ),
  };
}

function addRun(rows: number, cols: number): KernelRun {
  const bytes = rows * activationStride(cols) * WORD;
  return { request: { kernel: 'add', params: { cols } }, rows, immediates: [rows], operands: [bytes, bytes] };
}

const ATTENTION = { heads: 8, kvHeads: 4, headDim: 64, pageTokens: 16 };

/** One prompt from its first token. */
function attentionRun(): KernelRun {
  const { heads, kvHeads, headDim, pageTokens } = ATTENTION;
  const tiles = Array.from({ length: POSITIONS / ATTENTION_TILE_ROWS }, (_, tile) => {
    const first = tile * ATTENTION_TILE_ROWS;
    return [first, ATTENTION_TILE_ROWS, first, 0];
  });
  const pages = Uint32Array.from({ length: POSITIONS / pageTokens }, (_, page) => page);
  const row = POSITIONS * heads * headDim * WORD;
  const cache = POSITIONS * kvHeads * headDim * 2 * WORD;
  return {
    request: {
      kernel: 'attention',
      params: {
        heads,
        kvHeads,
        headDim,
        pageTokens,
        groupLayers: 1,
        scale: 0.125,
        tileRows: ATTENTION_TILE_ROWS,
      },
      dtype: 'f32',
    },
    rows: tiles.length,
    immediates: [tiles.length, 0],
    operands: [tiles.length * 16, pages.byteLength, row, cache, row],
    contents: { 0: Uint32Array.from(tiles.flat()), 1: pages },
  };
}

/** Seconds of one run of a kernel on every device at once; `work` (FLOPs or bytes) says how often it is run a round. */
async function kernelSeconds(
  devices: readonly Device[],
  run: KernelRun,
  work: number,
  roundSeconds: number,
): Promise<number> {
  const prepared = await Promise.all(devices.map((device) => prepare(device, run)));
  const repeats = Math.min(DISPATCHES, Math.max(2, Math.round(2e8 / work)));
  try {
    return await best(
      () =>
        everyDevice(devices, (device) => {
          const { bound, variant } = prepared[devices.indexOf(device)]!;
          dispatchMany(device, bound, variant, run, repeats);
          return device.idle();
        }),
      repeats,
      roundSeconds,
    );
  } finally {
    prepared.forEach(({ buffers }, i) => buffers.forEach((buffer) => devices[i]!.free(buffer)));
  }
}

function dispatchMany(
  device: Device,
  bound: BoundKernel,
  variant: KernelVariant,
  { rows, immediates }: KernelRun,
  count: number,
): void {
  device.record((commands) => {
    for (let i = 0; i < count; i++)
      commands.dispatch(bound, Uint32Array.from(immediates), variant.grid(rows));
  });
}

interface Prepared {
  readonly bound: BoundKernel;
  readonly variant: KernelVariant;
  readonly buffers: readonly DeviceBuffer[];
}

async function prepare(device: Device, { request, rows, operands, contents }: KernelRun): Promise<Prepared> {
  const variant = kernelVariants(request, device.limits).find(({ maxRows }) => maxRows >= rows)!;
  const kernel = await device.createKernel(variant);
  const buffers = operands.map((bytes, i) => device.createBuffer(`operand ${i}`, bytes));
  for (const [operand, words] of Object.entries(contents ?? {}))
    device.write(buffers[Number(operand)]!, 0, new Uint8Array(words.buffer));
  const bound = device.bind(
    kernel,
    buffers.map((buffer) => ({ buffer })),
  );
  return { bound, variant, buffers };
}

/** What a submit takes, and what one more kernel with next to nothing to do adds to it. */
async function launchSeconds(
  device: Device,
  roundSeconds: number,
): Promise<{ dispatch: number; submit: number }> {
  const run = addRun(1, 4);
  const { bound, variant, buffers } = await prepare(device, run);
  const many = (count: number): Promise<number> =>
    best(
      async () => {
        dispatchMany(device, bound, variant, run, count);
        await device.idle();
      },
      1,
      roundSeconds,
    );
  const [few, all] = [await many(1), await many(1 + DISPATCHES)];
  for (const buffer of buffers) device.free(buffer);
  return { dispatch: Math.max(0, all - few) / DISPATCHES, submit: few };
}

type Exchange = (
  devices: readonly Device[],
  buffers: readonly DeviceBuffer[],
  bytes: number,
) => Promise<void>;

/** As pipelines do it: every rank's part to the host, the sum back to every rank. */
const allReduceOnce: Exchange = async (devices, buffers, bytes) => {
  const parts = await Promise.all(
    devices.map((device, i) => device.read([{ buffer: buffers[i]!, offset: 0, bytes }])),
  );
  const sum = new Float32Array(bytes / WORD);
  for (const [part] of parts) {
    const values = new Float32Array(part!.buffer, part!.byteOffset, sum.length);
    for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
  }
  devices.forEach((device, i) => device.write(buffers[i]!, 0, new Uint8Array(sum.buffer)));
  await everyDevice(devices, (device) => device.idle());
};

const sendOnce: Exchange = async ([from, to], [source, target], bytes) => {
  const [part] = await from!.read([{ buffer: source!, offset: 0, bytes }]);
  to!.write(target!, 0, part!);
  await to!.idle();
};

/** Times an exchange of two sizes: what both have is its latency, what the larger has more its bandwidth. */
async function exchange(
  devices: readonly Device[],
  once: Exchange,
  roundSeconds: number,
): Promise<MeasuredExchange> {
  const buffers = devices.map((device) => device.createBuffer('exchange', TENSOR.large));
  try {
    const small = await best(() => once(devices, buffers, TENSOR.small), 1, roundSeconds);
    const large = await best(() => once(devices, buffers, TENSOR.large), 1, roundSeconds);
    const bandwidth = (TENSOR.large - TENSOR.small) / Math.max(large - small, 1e-9);
    return { devices: devices.length, latency: small, bandwidth };
  } finally {
    devices.forEach((device, i) => device.free(buffers[i]!));
  }
}

async function everyDevice(
  devices: readonly Device[],
  work: (device: Device) => Promise<unknown>,
): Promise<void> {
  await Promise.all(devices.map(work));
}

/** Seconds of the best round after one that warms up, by the repeats it has. */
async function best(round: () => Promise<unknown>, repeats: number, roundSeconds: number): Promise<number> {
  await round();
  let seconds = Infinity;
  for (let i = 0, spent = 0; i < ROUNDS.least || (spent < roundSeconds && i < ROUNDS.most); i++) {
    const began = performance.now();
    await round();
    const took = (performance.now() - began) / 1000;
    seconds = Math.min(seconds, took);
    spent += took;
  }
  return seconds / repeats;
}
