/** Rotary frequencies: how fast each pair of dimensions turns. */
import type { RopeTable } from '../../compiler/ir/runtime-program.js';
import type { ModelShape, RopeScaling } from '../../compiler/model/shape.js';
import type { Device, DeviceBuffer } from '../device/device.js';

/**
 * Inverse rotary frequencies of a table, one for each rotated pair, scaling applied. Pair i of a head with d rotated
 * dimensions is dimensions i and i + d / 2 (the half-rotated form of Hugging Face checkpoints) and turns by
 * position * frequency[i].
 */
export function ropeFrequencies(shape: ModelShape, table: RopeTable = 'rope'): Float32Array {
  const half = (shape.rotaryDim ?? shape.headDim) / 2;
  const local = table === 'rope_local';
  const theta = local ? shape.sliding!.ropeTheta! : shape.ropeTheta;
  const scale = scalingOf(local ? undefined : shape.ropeScaling, theta, half);
  return Float32Array.from({ length: half }, (_, i) => scale(theta ** (-i / half), i));
}

/** The tables of a model in the memory of a device. */
export function ropeBuffers(shape: ModelShape, device: Device): ReadonlyMap<RopeTable, DeviceBuffer> {
  const tables: readonly RopeTable[] =
    shape.sliding?.ropeTheta === undefined ? ['rope'] : ['rope', 'rope_local'];
  return new Map(
    tables.map((table) => {
      const frequencies = ropeFrequencies(shape, table);
      const buffer = device.createBuffer('rope frequencies', Math.max(16, frequencies.byteLength));
      device.write(buffer, 0, new Uint8Array(frequencies.buffer));
      return [table, buffer];
    }),
  );
}

/** From the unscaled frequency of pair i to the scaled one. */
function scalingOf(
  scaling: RopeScaling | undefined,
  theta: number,
  half: number,
): (plain: number, i: number) => number {
  switch (scaling?.type) {
    case undefined:
      return (plain) => plain;
    case 'linear':
      return (plain) => plain / scaling.factor;
    case 'longrope':
      return (plain, i) => plain / scaling.divisors[i]!;
    case 'llama3':
      return (plain) => llama3(plain, scaling);
    case 'yarn':
      return yarn(scaling, theta, half);
  }
}

/**
 * After the Llama 3.1 release: wavelengths longer than originalContext / lowFreqFactor are slowed down by `factor`,
 * shorter than originalContext / highFreqFactor are kept, those between are interpolated.
 */
function llama3(plain: number, scaling: RopeScaling & { readonly type: 'llama3' }): number {
  const wavelength = (2 * Math.PI) / plain;
  const low = scaling.originalContext / scaling.lowFreqFactor;
  const high = scaling.originalContext / scaling.highFreqFactor;
  if (wavelength > low) return plain / scaling.factor;
  if (wavelength < high) return plain;
  const smooth =
    (scaling.originalContext / wavelength - scaling.lowFreqFactor) /
    (scaling.highFreqFactor - scaling.lowFreqFactor);
  return ((1 - smooth) * plain) / scaling.factor + smooth * plain;
}

/**
 * YaRN (arXiv 2309.00071, section 3.2): pair i makes originalContext * theta^(-i / half) / (2 pi) turns over the
 * original context. Pairs of more than betaFast turns are kept, pairs of fewer than betaSlow are slowed down by
 * `factor`, and a linear ramp over the index of the pair runs between.
 */
function yarn(
  { factor, betaFast, betaSlow, originalContext, truncate }: RopeScaling & { readonly type: 'yarn' },
  theta: number,
  half: number,
): (plain: number, i: number) => number {
  const pairOfTurns = (turns: number): number =>
    (half * Math.log(originalContext / (turns * 2 * Math.PI))) / Math.log(theta);
  const [fast, slow] = [pairOfTurns(betaFast), pairOfTurns(betaSlow)];
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(truncate ? Math.ceil(slow) : slow, 2 * half - 1);
  // A ramp of no length is a step.
  const length = high === low ? 0.001 : high - low;
  return (plain, i) => {
    const slowed = Math.min(1, Math.max(0, (i - low) / length));
    return (plain / factor) * slowed + plain * (1 - slowed);
  };
}
