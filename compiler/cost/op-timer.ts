/** What a single op takes in a step: the times that the cost of a program adds up. */
import type { KernelOp } from '../ir/runtime-program.js';
import { vectorType } from '../model/weight-types.js';
import { heldElementBytes, sentElementBytes, type GroupHardware } from './group-hardware.js';
import { reachName, workKind, workOfSteps, type StepSize } from './kernel-work.js';
import { allGatherCost, linkSeconds, type LinkCost } from './links.js';
import type { OpClass } from './op-classes.js';
import type { DeviceRates } from './rates.js';

/** Seconds of an op of the class in a step. */
export function opTimer(
  each: OpClass,
  rates: readonly DeviceRates[],
  hardware: GroupHardware,
): (size: StepSize) => number {
  const { op, rows, cols } = each;
  const element = sentElementBytes(hardware);
  switch (op.op) {
    case 'kernel':
      return kernelTimer(op, rates, heldElementBytes(hardware));
    case 'collective': {
      const allReduce = hardware.allReduce ?? FREE;
      const link = op.kind === 'all_reduce' ? allReduce : allGatherCost(allReduce);
      return (size) => linkSeconds(link, size[rows] * cols.taken * element);
    }
    case 'send':
      return (size) => linkSeconds(hardware.send ?? FREE, size[rows] * cols.given * element);
    case 'recv':
      return () => 0;
    case 'sample':
      return ({ samples }) =>
        Math.max(
          ...rates.map(
            ({ bandwidth, reach }) => (samples * op.vocabPerRank * 4) / bandwidth / reach('sample'),
          ),
        );
  }
}

const FREE: LinkCost = { latency: 0, bandwidth: Infinity };

/** Seconds of a kernel on the slowest device: the larger of computing and of moving memory. */
function kernelTimer(
  op: Omit<KernelOp, 'id' | 'after'>,
  rates: readonly DeviceRates[],
  activation: number,
): (size: StepSize) => number {
  const kind = workKind(op.kernel);
  // Quantised weights become f32 as they are read, and are multiplied as such.
  const dtype = vectorType(op.dtype ?? 'f32');
  const workOf = workOfSteps(op, activation);
  const [asIs, ofSingleRows] = [reachName(op.kernel, {}), reachName(op.kernel, { singleRows: true })];
  const devices = rates.map(({ gemmFlops, flops, bandwidth, attentionRows, reach }) => ({
    flopsOf: kind === 'gemm' ? gemmFlops : flops,
    tile: kind === 'attention' ? attentionRows : 1,
    bandwidth,
    reach: reach(asIs),
    reachSingle: reach(ofSingleRows),
  }));
  return (size) => {
    // What is of no row is not run, whatever weights it would read.
    const rows = size[op.rows];
    if (rows === 0) return 0;
    const { flops, bytes } = workOf(size);
    let slowest = -Infinity;
    for (const { flopsOf, tile, bandwidth, reach, reachSingle } of devices) {
      const computed = tile > 1 ? workOf(size, tile).flops : flops;
      const computing = computed === 0 ? 0 : computed / flopsOf(dtype, rows);
      const reached = size.singleRows ? reachSingle : reach;
      slowest = Math.max(slowest, Math.max(computing, bytes / bandwidth) / reached);
    }
    return slowest;
  };
}
