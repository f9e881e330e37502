/**
 * Copies of rows between buffers of one device. A command per row costs the host some 10 us, which adds up to most of a
 * transition when columns of a matrix change hands; a kernel copies all rows of a piece at once.
 */
import type { BoundKernel, BufferRange, CommandList, Device, DeviceKernel } from '../device/device.js';
import { ceilDiv, defineKernel, read, readWrite } from '../kernels/wgsl.js';

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

const kernelSource = defineKernel({
  name: 'copy_rows',
  bindings: [read('source', 'u32'), readWrite('sink', 'u32')],
  immediates: ['rows', 'words', 'fromAt', 'fromStride', 'toAt', 'toStride'],
  constants: [],
  workgroup: [THREADS, 1, 1],
  grid: (rows) => [1, rows, 1],
  body: `
  let word = wg.x * ${THREADS}u + local.x;
  if (word >= im.words || wg.y >= im.rows) { return; }
  sink[im.toAt + wg.y * im.toStride + word] = source[im.fromAt + wg.y * im.fromStride + word];`,
});

/** Whether the copy is better done by the kernel on this device. */
export function wantsKernel(device: Device, { rows }: Pick<RowCopy, 'rows'>): boolean {
  return rows >= KERNEL_ROWS && rows <= device.limits.maxWorkgroupsPerDimension;
}

/** The kernel `recordCopies` needs for copies that want it. */
export function copyKernel(device: Device): Promise<DeviceKernel> {
  return device.createKernel(kernelSource);
}

/** Records copies in order. Ranges of one copy lie in different buffers. */
export function recordCopies(
  device: Device,
  copies: readonly RowCopy[],
  kernel: DeviceKernel | undefined,
): void {
  const bound = copies.map((copy): BoundKernel | undefined =>
    kernel !== undefined && wantsKernel(device, copy) ? device.bind(kernel, [copy.from, copy.to]) : undefined,
  );
  device.record((commands) => {
    copies.forEach((copy, i) => {
      const dispatch = bound[i];
      if (dispatch === undefined) recordRuns(commands, copy);
      else {
        const words = copy.runBytes / 4;
        const immediates = [
          copy.rows,
          words,
          copy.fromAt / 4,
          copy.fromStride / 4,
          copy.toAt / 4,
          copy.toStride / 4,
        ];
        commands.dispatch(dispatch, Uint32Array.from(immediates), [ceilDiv(words, THREADS), copy.rows, 1]);
      }
    });
  });
}

function recordRuns(commands: CommandList, copy: RowCopy): void {
  for (let row = 0; row < copy.rows; row++) {
    const from = (copy.from.offset ?? 0) + copy.fromAt + row * copy.fromStride;
    const to = (copy.to.offset ?? 0) + copy.toAt + row * copy.toStride;
    commands.copy(copy.from.buffer, from, copy.to.buffer, to, copy.runBytes);
  }
}
