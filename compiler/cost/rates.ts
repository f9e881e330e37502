/**
 * How fast a device computes and reads its memory, as declared: peaks times what large kernels reach of them.
 *
 * A matrix product of few rows does not fill a device: tiles are computed whole, so rows count as if rounded up to the
 * next multiple of a tile. A device may declare instead what products of so many rows reach (`gemm`); between two
 * declared sizes the fraction is interpolated over the logarithm of the rows. Of other kernels it may say what each reaches
 * of what computing and memory allow (`kernels`).
 */
import type { DType } from '../model/shape.js';
import { once } from '../once.js';
import type { DeviceKind } from '../plan/plan.js';

/** Rows that a tile of a matrix product has where a device declares nothing else. */
export const GEMM_TILE_ROWS = 64;

/** Speeds that kernels reach on a kind of device. */
export interface DeviceRates {
  /** FLOP/s that large kernels other than matrix products reach on this element type. */
  readonly flops: (dtype: DType) => number;
  /** FLOP/s that a matrix product with `rows` rows reaches. */
  readonly gemmFlops: (dtype: DType, rows: number) => number;
  /** The highest FLOP/s that a matrix product with any number of rows up to `rows` reaches. */
  readonly bestGemmFlops: (dtype: DType, rows: number) => number;
  /** Bytes per second of device memory that large kernels reach. */
  readonly bandwidth: number;
  /** Rows of one sequence that attention computes together, as a tile; 1 where nothing is declared. */
  readonly attentionRows: number;
  /** Fraction of its roofline that a kernel reaches, by its name; 1 where nothing is declared. */
  readonly reach: (kernel: string) => number;
}

/**
 * The speeds that a kind of device declares.
 *
 * @param smallGemmLoss off: matrix products of any size reach what large ones do. That is the highest fraction in
 *   `gemm` where the kind declares it, else `sustained.compute`
 */
export function deviceRates(kind: DeviceKind, smallGemmLoss = true): DeviceRates {
  const peak = once((dtype: DType): number => kind.compute[speedType(kind, dtype)] ?? Infinity);
  const large = kind.sustained.compute;
  const steps = Object.entries(kind.gemm ?? {})
    .map(([rows, fraction]): readonly [number, number] => [Number(rows), fraction])
    .sort((a, b) => a[0] - b[0]);
  const largeProduct = steps.length === 0 ? large : Math.max(...steps.map(([, reached]) => reached));
  const fraction = (rows: number): number => {
    if (!smallGemmLoss || rows === 0) return largeProduct;
    if (steps.length === 0) return (large * rows) / (Math.ceil(rows / GEMM_TILE_ROWS) * GEMM_TILE_ROWS);
    return interpolate(steps, rows);
  };
  const bestFraction = (rows: number): number => {
    if (!smallGemmLoss || steps.length === 0) return largeProduct;
    return steps.reduce(
      (most, [size, reached]) => (size < rows ? Math.max(most, reached) : most),
      fraction(rows),
    );
  };
  return {
    flops: (dtype) => peak(dtype) * large,
    gemmFlops: (dtype, rows) => peak(dtype) * fraction(rows),
    bestGemmFlops: (dtype, rows) => peak(dtype) * bestFraction(rows),
    bandwidth: kind.bandwidth * kind.sustained.bandwidth,
    attentionRows: kind.attentionRows ?? 1,
    reach: (kernel) =>
      kind.kernels?.[kernel] ??
      (kernel === 'decode_attention' ? kind.kernels?.['attention'] : undefined) ??
      1,
  };
}

/** Types that kernels compute in. Weights of other types become `f32` as they are read. */
export const COMPUTED_TYPES = ['f32', 'f16', 'bf16'] as const satisfies readonly DType[];

/**
 * The type whose declared speed another computes at: itself, else the other 16-bit type, else `f32`, else the slowest that
 * is declared, which is narrower. Types that nothing is computed in come last.
 */
export function speedType({ compute }: Pick<DeviceKind, 'compute'>, dtype: DType): string {
  const other = dtype === 'f16' ? 'bf16' : 'f16';
  const near = dtype === 'f32' ? [dtype] : [dtype, other, 'f32'];
  const slowest = Object.keys(compute).sort((a, b) => compute[a]! - compute[b]!);
  const computed = slowest.filter((each) => COMPUTED_TYPES.some((type) => type === each));
  return [...near, ...computed, ...slowest].find((each) => compute[each] !== undefined) ?? dtype;
}

/** Below the first size the fraction falls in proportion to the rows; above the last it stays. */
function interpolate(steps: readonly (readonly [number, number])[], rows: number): number {
  const [firstRows, first] = steps[0]!;
  if (rows <= firstRows) return (first * rows) / firstRows;
  const next = steps.findIndex(([size]) => size >= rows);
  if (next < 0) return steps.at(-1)![1];
  const [[lowRows, low], [highRows, high]] = [steps[next - 1]!, steps[next]!];
  const along = Math.log(rows / lowRows) / Math.log(highRows / lowRows);
  return low + (high - low) * along;
}
