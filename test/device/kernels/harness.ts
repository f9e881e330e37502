/**
 * Runs single kernels for tests: operands in as typed arrays, one operand out. Every run is made on a device of each
 * profile, and the two answers must have the same bits: where `safe` clamps an access that `fast` does not, they
 * part, so equality is the evidence that kernels stay in bounds.
 */
import { afterAll, beforeAll, expect } from 'vitest';
import { isQuantised, type WeightType } from '../../../compiler/model/weight-types.js';
import { activationStride, weightLayout } from '../../../compiler/ir/device-layout.js';
import type { Device, DeviceLimits } from '../../../runtime/device/device.js';
import { openDevices } from '../../../runtime/device/dawn.js';
import type { KernelRequest, KernelVariant } from '../../../runtime/kernels/kernel.js';
import { kernelVariants } from '../../../runtime/kernels/library.js';
import { decodeBlocks, randomBlocks } from '../../fixtures/blocks.js';
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from '../../fixtures/halves.js';
import type { Random } from '../../fixtures/random.js';

export type Words = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

export interface KernelBench {
  readonly limits: () => DeviceLimits;
  /** Runs a variant on both devices and returns the bytes of operand `result`. */
  run(
    variant: KernelVariant,
    operands: readonly Words[],
    immediates: readonly number[],
    result: number,
  ): Promise<Uint8Array>;
}

/** Opens the devices for the tests of a file. */
export function kernelBench(): KernelBench {
  const devices: Device[] = [];
  beforeAll(async () => {
    devices.push(...(await openDevices(1, { profile: 'fast' })));
    devices.push(...(await openDevices(1, { profile: 'safe' })));
  });
  afterAll(() => {
    for (const device of devices) device.destroy();
  });
  return {
    limits: () => devices[0]!.limits,
    async run(variant, operands, immediates, result) {
      const [fast, safe] = await Promise.all(
        devices.map((device) => runOn(device, variant, operands, immediates, result)),
      );
      expect(Buffer.compare(fast!, safe!), `${variant.key}: fast and safe profiles differ`).toBe(0);
      return fast!;
    },
  };
}

async function runOn(
  device: Device,
  variant: KernelVariant,
  operands: readonly Words[],
  immediates: readonly number[],
  result: number,
): Promise<Uint8Array> {
  const kernel = await device.createKernel(variant);
  const buffers = operands.map((words, i) => {
    const buffer = device.createBuffer(`operand ${i}`, words.byteLength);
    device.write(buffer, 0, new Uint8Array(words.buffer));
    return buffer;
  });
  const bound = device.bind(
    kernel,
    buffers.map((buffer, i) => ({ buffer, bytes: operands[i]!.byteLength })),
  );
  device.record((commands) =>
    commands.dispatch(bound, Uint32Array.from(immediates), variant.grid(immediates[0]!)),
  );
  const [bytes] = await device.read([
    { buffer: buffers[result]!, offset: 0, bytes: operands[result]!.byteLength },
  ]);
  for (const buffer of buffers) device.free(buffer);
  return bytes!;
}

/** Every variant of a request that can run `rows` rows. */
export function variantsFor(request: KernelRequest, limits: DeviceLimits, rows: number): KernelVariant[] {
  return kernelVariants(request, limits).filter((variant) => variant.maxRows >= rows);
}

/** The limits of a device without subgroups: kernels fall back to their plain forms. */
export function withoutSubgroups(limits: DeviceLimits): DeviceLimits {
  return {
    ...limits,
    subgroupSize: 0,
    features: new Set([...limits.features].filter((name) => name !== 'subgroups')),
  };
}

/** An activation as a device holds it: rows padded to quads with zeros. */
export interface Activation {
  readonly rows: number;
  readonly cols: number;
  readonly stride: number;
  readonly data: Float32Array<ArrayBuffer>;
}

export function activation(
  rows: number,
  cols: number,
  value: (row: number, col: number) => number,
): Activation {
  const stride = activationStride(cols);
  const data = new Float32Array(rows * stride);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) data[r * stride + c] = value(r, c);
  return { rows, cols, stride, data };
}

/** An output full of a value that no kernel leaves behind by chance. */
export function garbage(rows: number, cols: number): Activation {
  const made = activation(rows, cols, () => 0);
  made.data.fill(12345.678);
  return made;
}

/** A weight as a device holds it, with the values it stands for after rounding to its type. */
export interface Weight {
  readonly words: Words;
  readonly at: (row: number, col: number) => number;
}

export function weight(dtype: WeightType, rows: number, cols: number, random: Random, scale = 1): Weight {
  const layout = weightLayout({ dtype, rows, cols });
  if (isQuantised(dtype)) {
    const bytes = randomBlocks(dtype, rows, cols, random);
    const stored = decodeBlocks(dtype, bytes, cols);
    const padded = new Uint8Array(layout.rows * (bytes.length / rows));
    padded.set(bytes);
    return { words: new Uint32Array(padded.buffer), at: (r, c) => stored[r * cols + c]! };
  }
  const values = new Float64Array(rows * cols);
  if (dtype === 'f32') {
    const words = new Float32Array(layout.rows * layout.stride);
    fill(rows, cols, (r, c) => {
      words[r * layout.stride + c] = random.normal() * scale;
      values[r * cols + c] = words[r * layout.stride + c]!;
    });
    return { words, at: (r, c) => values[r * cols + c]! };
  }
  const bits = new Uint16Array(layout.rows * layout.stride);
  fill(rows, cols, (r, c) => {
    const stored = toBits(dtype, random.normal() * scale);
    bits[r * layout.stride + c] = stored;
    values[r * cols + c] = fromBits(dtype, stored);
  });
  return { words: new Uint32Array(bits.buffer), at: (r, c) => values[r * cols + c]! };
}

export function toBits(dtype: 'f16' | 'bf16', value: number): number {
  return dtype === 'f16' ? numberToF16(value) : numberToBf16(value);
}

export function fromBits(dtype: 'f16' | 'bf16', bits: number): number {
  return dtype === 'f16' ? f16ToNumber(bits) : bf16ToNumber(bits);
}

function fill(rows: number, cols: number, visit: (row: number, col: number) => void): void {
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) visit(r, c);
}

/** Checks an activation against f64 values, relative to the greatest of them, and its padding against zero. */
export function expectActivation(
  bytes: Uint8Array,
  rows: number,
  cols: number,
  reference: (row: number, col: number) => number,
  tolerance = 1e-5,
): void {
  const got = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const stride = activationStride(cols);
  let scale = 0;
  let worst = 0;
  let where = '';
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) {
      const want = reference(r, c);
      if (Number.isNaN(want)) {
        expect(got[r * stride + c], `row ${r} col ${c}`).toBeNaN();
        continue;
      }
      scale = Math.max(scale, Math.abs(want));
      const distance = Math.abs(got[r * stride + c]! - want);
      // What is no number is greater than all, and stays the worst.
      const error = Number.isNaN(distance) ? Infinity : distance;
      if (error > worst) {
        worst = error;
        where = `row ${r} col ${c}: got ${got[r * stride + c]}, want ${want}`;
      }
    }
    // A zero of either sign: a negative scale makes one of the other.
    for (let c = cols; c < stride; c++) expect(Math.abs(got[r * stride + c]!), `padding of row ${r}`).toBe(0);
  }
  expect(scale).toBeGreaterThan(0);
  expect(worst / scale, where).toBeLessThan(tolerance);
}
