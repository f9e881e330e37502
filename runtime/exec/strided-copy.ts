/**
 * Copies of rows between buffers of one device. A command per row costs the host some 2 us, which adds up to most of a
 * transition when columns of a matrix change hands; a kernel copies all rows of a piece at once, in words of 16 bytes
 * where the piece allows it.
 */
import type { BoundKernel, BufferRange, CommandList, Device, DeviceKernel } from '../device/device.js';
import { ceilDiv, defineKernel, read, readWrite } from '../kernels/wgsl.js';
import type { KernelVariant } from '../kernels/kernel.js';

/** `rows` runs of `runBytes` bytes; strides and offsets are bytes from the start of a range, multiples of 4. */
export interface RowCopy {
  readonly from: BufferRange;
  readonly fromAt: number;
  readonly fromStride: number;
  readonly to: BufferRange;
  readonly toAt: number;
  readonly toStride: number;
  readonly runBytes: number;
  readonly rows: number;
}

/** From so many rows on a dispatch, bindings included, is cheaper than commands. */
const KERNEL_ROWS = 16;
const THREADS = 64;
/** Rows that a thread copies a word of: fewer, larger workgroups, as each costs about a microsecond in software. */
const ROWS_PER_THREAD = 8;
const WIDE_BYTES = 16;
const NARROW_BYTES = 4;

/** The kernels that copy words of 16 and of 4 bytes. */
export interface CopyKernels {
  readonly wide: DeviceKernel;
  readonly narrow: DeviceKernel;
}

/** Whether the copy is better done by a kernel on this device. */
export function wantsKernel(device: Device, { rows }: Pick<RowCopy, 'rows'>): boolean {
  return rows >= KERNEL_ROWS && rows <= ROWS_PER_THREAD * device.limits.maxWorkgroupsPerDimension;
}

/** The kernels `recordCopy` needs for copies that want one. */
export async function copyKernels(device: Device): Promise<CopyKernels> {
  const [wide, narrow] = await Promise.all(
    [kernelSource('wide', 'vec4u'), kernelSource('narrow', 'u32')].map((source) =>
      device.createKernel(source),
    ),
  );
  return { wide: wide!, narrow: narrow! };
}

function kernelSource(name: string, type: string): KernelVariant {
  return defineKernel({
    name: `copy_rows_${name}`,
    bindings: [read('source', type), readWrite('sink', type)],
    immediates: ['rows', 'words', 'fromAt', 'fromStride', 'toAt', 'toStride'],
    constants: [],
    workgroup: [THREADS, 1, 1],
    grid: (rows) => [1, ceilDiv(rows, ROWS_PER_THREAD), 1],
    body: `
  let word = wg.x * ${THREADS}u + local.x;
  if (word >= im.words) { return; }
  let first = wg.y * ${ROWS_PER_THREAD}u;
  let end = min(first + ${ROWS_PER_THREAD}u, im.rows);
  for (var row = first; row < end; row++) {
    sink[im.toAt + row * im.toStride + word] = source[im.fromAt + row * im.fromStride + word];
  }`,
  });
}

/** Records a copy. Its ranges lie in different buffers. */
export function recordCopy(
  device: Device,
  commands: CommandList,
  copy: RowCopy,
  kernels: CopyKernels | undefined,
): void {
  if (kernels !== undefined && wantsKernel(device, copy)) recordDispatch(device, commands, copy, kernels);
  else recordRuns(commands, copy);
}

function recordDispatch(
  device: Device,
  commands: CommandList,
  { from, fromAt, fromStride, to, toAt, toStride, runBytes, rows }: RowCopy,
  { wide, narrow }: CopyKernels,
): void {
  const bytes = [runBytes, fromAt, fromStride, toAt, toStride];
  const isWide = bytes.every((each) => each % WIDE_BYTES === 0);
  const size = isWide ? WIDE_BYTES : NARROW_BYTES;
  const [words, ...places] = bytes.map((each) => each / size);
  const bound: BoundKernel = device.bind(isWide ? wide : narrow, [from, to]);
  commands.dispatch(bound, Uint32Array.from([rows, words!, ...places]), [
    ceilDiv(words!, THREADS),
    ceilDiv(rows, ROWS_PER_THREAD),
    1,
  ]);
}

function recordRuns(commands: CommandList, copy: RowCopy): void {
  for (let row = 0; row < copy.rows; row++) {
    const from = (copy.from.offset ?? 0) + copy.fromAt + row * copy.fromStride;
    const to = (copy.to.offset ?? 0) + copy.toAt + row * copy.toStride;
    commands.copy(copy.from.buffer, from, copy.to.buffer, to, copy.runBytes);
  }
}
