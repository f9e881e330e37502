import type { ModelShape } from '../../compiler/model/shape.js';

/**
 * Inverse rotary frequencies, `head_dim / 2` of them, scaling applied. Pair i of a head is dimensions i and
 * i + head_dim / 2 (the half-rotated form of Hugging Face checkpoints) and turns by position * frequency[i].
 *
 * `llama3` scaling after the Llama 3.1 release: wavelengths longer than originalContext / lowFreqFactor are slowed
 * down by `factor`, shorter than originalContext / highFreqFactor are kept, those between are interpolated.
 */
export function ropeFrequencies(shape: ModelShape): Float32Array {
  const half = shape.headDim / 2;
  return Float32Array.from({ length: half }, (_, i) => {
    const plain = shape.ropeTheta ** (-i / half);
    const scaling = shape.ropeScaling;
    if (scaling === undefined) return plain;
    if (scaling.type === 'linear') return plain / scaling.factor;
    const wavelength = (2 * Math.PI) / plain;
    const low = scaling.originalContext / scaling.lowFreqFactor;
    const high = scaling.originalContext / scaling.highFreqFactor;
    if (wavelength > low) return plain / scaling.factor;
    if (wavelength < high) return plain;
    const smooth =
      (scaling.originalContext / wavelength - scaling.lowFreqFactor) /
      (scaling.highFreqFactor - scaling.lowFreqFactor);
    return ((1 - smooth) * plain) / scaling.factor + smooth * plain;
  });
}
