/** What the host makes of the values that the ranks of a group read out for a collective. */
import { activationStride } from '../../compiler/ir/device-layout.js';

/** Rank order fixes the rounding: the sum is the same on every rank and in every run. */
export function sumInRankOrder(parts: readonly Uint8Array[]): Uint8Array {
  const views = parts.map(asFloats);
  const sum = Float32Array.from(views[0]!);
  for (const view of views.slice(1)) for (let i = 0; i < sum.length; i++) sum[i]! += view[i]!;
  return new Uint8Array(sum.buffer);
}

/**
 * The columns of the parts side by side, in rank order.
 *
 * @param partCols of each part; `cols` of the result, both without the columns that pad a row
 */
export function sideBySide(parts: readonly Uint8Array[], partCols: number, cols: number): Uint8Array {
  const [partStride, stride] = [activationStride(partCols), activationStride(cols)];
  const rows = parts[0]!.byteLength / 4 / partStride;
  const whole = new Float32Array(rows * stride);
  parts.map(asFloats).forEach((part, rank) => {
    for (let row = 0; row < rows; row++) {
      const from = row * partStride;
      whole.set(part.subarray(from, from + partCols), row * stride + rank * partCols);
    }
  });
  return new Uint8Array(whole.buffer);
}

function asFloats(part: Uint8Array): Float32Array {
  return new Float32Array(part.buffer, part.byteOffset, part.byteLength / 4);
}
