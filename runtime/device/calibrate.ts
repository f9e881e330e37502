/**
 * Measures what the cost model wants to know of a machine, with the kernels and transfers that runs use and in the way
 * that runs use them. Kernels are measured on one device while the others are idle; a layer's worth of them, one after the
 * other, on several at once: devices that share a processor or a memory show what each keeps of its speed.
 *
 * Every figure is what rounds of it take as a rule (see `calibration-rounds.ts`).
 */
import { REACHING_KERNELS, type ReachingKernel } from '../../compiler/cost/kernel-work.js';
import { measureBandwidth, type MeasuredBandwidth } from './bandwidth.js';
import {
  allGatherOnce,
  allReduceOnce,
  measureBeside,
  measureExchange,
  measureReads,
  sendOnce,
  type Exchange,
  type MeasuredAmong,
  type MeasuredExchange,
} from './calibration-exchanges.js';
import { measureHost, type MeasuredHost } from './calibration-host.js';
import { measurePages, type MeasuredPages } from './calibration-pages.js';
import { kernelRun, matmulRun, type KernelRun } from './calibration-kernels.js';
import {
  MANY_LAYERS,
  measureHanding,
  measureKept,
  measureTogether,
  prepareLayer,
  runLayers,
} from './calibration-layers.js';
import { prepare, type Prepared } from './calibration-prepared.js';
import { typical } from './calibration-rounds.js';
import type { CalibrationShapes } from './calibration-shapes.js';
import type { Device } from './device.js';

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
  /** Fraction of the speed alone: the geometric mean over layers of few rows and of many, and the least and the most. */
  readonly kept: number;
  readonly least: number;
  readonly most: number;
}

export interface Calibration {
  readonly devices: number;
  readonly gemm: readonly MeasuredGemm[];
  /** FLOP/s of attention over a prompt. */
  readonly attention: number;
  /** Bytes per second of the kernel that reads and writes fastest. */
  readonly memory: number;
  /** Of the lower of the bounds that those two set: what each kernel reaches of it. */
  readonly reach: Readonly<Record<ReachingKernel, number>>;
  /** Of two devices and of all; empty for one device. */
  readonly shared: readonly MeasuredSharing[];
  /** Of two devices and of all: what an exchange of one keeps of its speed while the others compute. */
  readonly sharedHost: readonly { readonly devices: number; readonly kept: number }[];
  /** Of one device while the others are idle: what moves is rarely on all at once. */
  readonly staging: MeasuredBandwidth;
  /** The same of KV pages, as runs move them. */
  readonly pages: MeasuredPages;
  /** Seconds that one more kernel in a submit takes a device. */
  readonly dispatch: number;
  /** What a step costs the host before it is handed to any device. */
  readonly host: MeasuredHost;
  /** Seconds beside its kernels that a run of them takes so many devices: alone, and as slowed as kernels are. */
  readonly submits: readonly MeasuredAmong[];
  /** Of those, seconds in which the host records one of the kernels. */
  readonly encode: number;
  /** Seconds of reading a few words from each of so many devices. */
  readonly reads: readonly MeasuredAmong[];
  /** All-reduces among two devices and among all; empty for one device. */
  readonly allReduce: readonly MeasuredExchange[];
  /** All-gathers among the same. */
  readonly allGather: readonly MeasuredExchange[];
  /** From one device to another; absent for one device. */
  readonly send?: MeasuredExchange;
}

/** How long and how much is measured, in which shapes. */
export interface CalibrationEffort extends CalibrationShapes {
  /** Rounds of a measurement go on for so many seconds. */
  readonly seconds: number;
  /** Rows of the matrix products. */
  readonly rows: readonly number[];
  /** Rows of a layer: of the single kernels the most of them. */
  readonly layerRows: readonly number[];
}

/** A layer of a small model; products of such models, split and whole, and a wide one. */
export const FULL_EFFORT: CalibrationEffort = {
  layer: { heads: 8, kvHeads: 4, headDim: 32, hidden: 256, ffn: 512 },
  seconds: 0.3,
  rows: [1, 4, 16, 64, 256],
  shapes: [
    [64, 128],
    [256, 256],
    [768, 768],
    [2048, 768],
  ],
  layerRows: [16, 256],
};

/** For a rough idea. */
export const QUICK_EFFORT: CalibrationEffort = {
  ...FULL_EFFORT,
  seconds: 0.03,
  rows: [1, 16, 64],
  shapes: [[256, 256]],
  layerRows: [16],
};

/** Times as long as others is measured what few rounds decide. */
const BESIDE = 4;
/** Kernels in a submit that is to show what they take, and what all of them take about, in FLOPs. */
const DISPATCHES = { least: 2, most: 256, flops: 1e8 };

/** Takes half a minute or so in full. The devices should be idle; what is allocated on them is freed again. */
export async function calibrate(
  devices: readonly Device[],
  say: (what: string) => void,
  effort: CalibrationEffort = FULL_EFFORT,
): Promise<Calibration> {
  const { seconds, layer: shape, layerRows } = effort;
  const groups = [...new Set([1, 2, devices.length])].filter((size) => size <= devices.length);
  say('kernels');
  const kernels = await measureKernels(devices[0]!, effort);
  say('devices at once');
  const shared: MeasuredSharing[] = [];
  const sharedHost: { devices: number; kept: number }[] = [];
  const submits: MeasuredAmong[] = [];
  const reads: MeasuredAmong[] = [];
  const layers = await Promise.all(layerRows.map((rows) => prepareLayer(devices, shape, rows)));
  const { submit, encode } = await measureHanding(layers[0]![0]!, 2 * seconds);
  for (const size of groups) {
    const members = layers.map((layer) => layer.slice(0, size));
    const [few] = members;
    let kept = 1;
    if (size > 1) {
      const parts: number[] = [];
      for (const layer of members) parts.push(await measureKept(layer, seconds));
      const own = sharing(size, parts);
      shared.push(own);
      kept = own.kept;
      const work = (device: number): Promise<unknown> => runLayers([few![device]!], MANY_LAYERS);
      const beside = await measureBeside(devices.slice(0, size), work, seconds * BESIDE);
      sharedHost.push({ devices: size, kept: beside });
    }
    // Some devices compute while others are handed theirs: what of the whole is which cannot be told, so both are slowed alike.
    submits.push({ devices: size, seconds: submit / kept });
    const read = await measureReads(devices.slice(0, size), () => runLayers(few!), seconds);
    reads.push({ devices: size, seconds: read });
  }
  say('transfers');
  const staging = await measureBandwidth(devices[0]!);
  const pages = await measurePages(devices[0]!, seconds);
  say('exchanges');
  const exchange = (size: number, once: Exchange): Promise<MeasuredExchange> => {
    const work = (): Promise<unknown> => runLayers(layers[0]!.slice(0, size));
    return measureExchange(devices.slice(0, size), once, work, seconds);
  };
  const allReduce: MeasuredExchange[] = [];
  const allGather: MeasuredExchange[] = [];
  for (const size of groups.filter((each) => each > 1)) {
    allReduce.push(await exchange(size, allReduceOnce));
    allGather.push(await exchange(size, allGatherOnce));
  }
  const send = devices.length > 1 ? await exchange(2, sendOnce) : undefined;
  for (const each of layers.flat()) each.free();
  return {
    devices: devices.length,
    ...kernels,
    host: measureHost(),
    shared,
    sharedHost,
    staging,
    pages,
    submits,
    encode,
    reads,
    allReduce,
    allGather,
    ...(send && { send }),
  };
}

/**
 * Seconds of some layers of many rows on all of the devices at once: of two times this was measured it tells how much
 * faster the machine was at one than at the other.
 */
export async function measurePace(
  devices: readonly Device[],
  { seconds, layer: shape, layerRows }: CalibrationEffort = FULL_EFFORT,
): Promise<number> {
  const layer = await prepareLayer(devices, shape, Math.max(...layerRows));
  const took = await measureTogether(layer, seconds);
  for (const each of layer) each.free();
  return took;
}

type Alone = Pick<Calibration, 'gemm' | 'attention' | 'memory' | 'reach' | 'dispatch'>;

/** Everything about kernels on one device while the others are idle. */
async function measureKernels(
  device: Device,
  { seconds, rows: allRows, shapes, layer, layerRows }: CalibrationEffort,
): Promise<Alone> {
  const dispatch = await dispatchSeconds(device, seconds);
  const secondsBeyondLaunch = async (run: KernelRun): Promise<number> => {
    const prepared = await prepare(device, [run]);
    const took = await secondsOf(device, prepared, seconds);
    prepared.free();
    return Math.max(took - dispatch, took / 4);
  };
  const gemm: MeasuredGemm[] = [];
  for (const [n, k] of shapes)
    for (const rows of allRows) {
      const run = matmulRun(rows, n, k);
      gemm.push({ rows, n, k, flops: run.work.flops / (await secondsBeyondLaunch(run)) });
    }
  const most = Math.max(...layerRows);
  const kernels: { kernel: ReachingKernel; run: KernelRun; took: number }[] = [];
  for (const kernel of REACHING_KERNELS) {
    const run = kernelRun(kernel, most, layer);
    kernels.push({ kernel, run, took: await secondsBeyondLaunch(run) });
  }
  const attending = kernels.find(({ kernel }) => kernel === 'attention')!;
  const attention = attending.run.work.flops / attending.took;
  const memory = Math.max(...kernels.map(({ run, took }) => run.work.bytes / took));
  const reach = kernels.map(({ kernel, run: { work }, took }) => {
    const bound = Math.max(work.flops / attention, work.bytes / memory);
    return [kernel, Math.min(1, bound / took)] as const;
  });
  return {
    gemm,
    attention,
    memory,
    dispatch,
    reach: Object.fromEntries(reach) as Record<ReachingKernel, number>,
  };
}

function sharing(devices: number, parts: readonly number[]): MeasuredSharing {
  const logs = parts.reduce((sum, part) => sum + Math.log(part), 0);
  const [least, most] = [Math.min(...parts), Math.max(...parts)];
  return { devices, kept: Math.exp(logs / parts.length), least, most };
}

/** Seconds of the kernels once, of many times in one submit. */
async function secondsOf(
  device: Device,
  { kernels, flops, record }: Prepared,
  roundSeconds: number,
): Promise<number> {
  const { least, most } = DISPATCHES;
  const wanted = Math.round(DISPATCHES.flops / Math.max(1, flops));
  const repeats = Math.min(Math.ceil(most / kernels), Math.max(least, wanted));
  const round = (): Promise<unknown> => {
    record(repeats);
    return device.idle();
  };
  return (await typical(round, roundSeconds)) / repeats;
}

/** What one more kernel with next to nothing to do adds to a submit. */
async function dispatchSeconds(device: Device, roundSeconds: number): Promise<number> {
  const prepared = await prepare(device, [kernelRun('add', 1, { ...FULL_EFFORT.layer, hidden: 4 })]);
  const many = (count: number): Promise<number> =>
    typical(() => {
      prepared.record(count);
      return device.idle();
    }, roundSeconds);
  const [few, all] = [await many(1), await many(1 + DISPATCHES.most)];
  prepared.free();
  return Math.max(0, all - few) / DISPATCHES.most;
}
