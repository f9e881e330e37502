/** Kernels of calibrations on a device, ready to be recorded as often as a measurement wants. */
import type { KernelVariant } from '../kernels/kernel.js';
import { kernelVariants } from '../kernels/library.js';
import type { KernelRun } from './calibration-kernels.js';
import type { BoundKernel, Device, DeviceBuffer } from './device.js';

/** Kernels with their operands, ready on a device. */
export interface Prepared {
  readonly device: Device;
  /** Records all of them so many times, in order. */
  readonly record: (repeats: number) => void;
  readonly kernels: number;
  readonly flops: number;
  readonly free: () => void;
}

/**
 * Kernels in an order in which each waits for the one before it, as where it takes what that makes: the last operand that
 * each writes is one buffer for all of them.
 */
export async function prepare(device: Device, runs: readonly KernelRun[]): Promise<Prepared> {
  const buffers: DeviceBuffer[] = [];
  const buffer = (bytes: number): DeviceBuffer => {
    const made = device.createBuffer('operand', bytes);
    buffers.push(made);
    return made;
  };
  const out = buffer(Math.max(...runs.flatMap(({ operands }) => operands)));
  const ready = await Promise.all(
    runs.map(async (run): Promise<{ run: KernelRun; variant: KernelVariant; bound: BoundKernel }> => {
      const { request, rows, operands, contents = {} } = run;
      const variant = kernelVariants(request, device.limits).find(({ maxRows }) => maxRows >= rows)!;
      const kernel = await device.createKernel(variant);
      const last = variant.bindings.lastIndexOf('read_write');
      const own = operands.map((bytes, i) => (i === last ? out : buffer(bytes)));
      for (const [operand, words] of Object.entries(contents))
        device.write(own[Number(operand)]!, 0, new Uint8Array(words.buffer));
      return {
        run,
        variant,
        bound: device.bind(
          kernel,
          own.map((each) => ({ buffer: each })),
        ),
      };
    }),
  );
  return {
    device,
    kernels: runs.length,
    flops: runs.reduce((sum, { work }) => sum + work.flops, 0),
    record: (repeats) =>
      device.record((commands) => {
        for (let i = 0; i < repeats; i++)
          for (const { run, variant, bound } of ready)
            commands.dispatch(bound, Uint32Array.from(run.immediates), variant.grid(run.rows));
      }),
    free: () => buffers.forEach((each) => device.free(each)),
  };
}
