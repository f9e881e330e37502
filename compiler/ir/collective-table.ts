/**
 * The collectives, one entry each: what it does to a sharding, and how many bytes a rank sends for it. Everything
 * that needs to know a collective (insertion, verifier, printers, cost model) reads this table.
 *
 * A gather undoes the minor split of a dimension and a slice makes a new minor one, so that blocks stay contiguous.
 */
import type { DimName } from './logical.js';
import type { CollectiveOp, MeshAxis, Sharding } from './sharded.js';
import { axesOf, withAxes } from './sharding-algebra.js';

export interface CollectiveRule {
  /** Whether the op names a dimension. */
  readonly takesDim: boolean;
  /** Sharding of the output, or why the op cannot be applied to the input. */
  readonly result: (input: Sharding, axis: MeshAxis, dim: DimName | undefined) => Sharding | string;
  /**
   * Bytes each of `n` ranks sends, for a ring. `bytes` is the larger of the rank's input and output: the summed
   * tensor, the gathered one, the one to be scattered.
   */
  readonly bytesPerRank: (n: number, bytes: number) => number;
}

export const COLLECTIVES: Readonly<Record<CollectiveOp['kind'], CollectiveRule>> = {
  all_reduce: {
    takesDim: false,
    result: (input, axis) => reduced(input, axis),
    bytesPerRank: (n, bytes) => (2 * (n - 1) * bytes) / n,
  },
  all_gather: {
    takesDim: true,
    result: (input, axis, dim) => {
      if (dim === undefined) return 'no dimension to gather';
      const axes = axesOf(input, dim);
      if (axes.at(-1) !== axis) return `${dim} is not split over ${axis} innermost`;
      return withAxes(input, dim, axes.slice(0, -1));
    },
    bytesPerRank: (n, bytes) => ((n - 1) * bytes) / n,
  },
  reduce_scatter: {
    takesDim: true,
    result: (input, axis, dim) => {
      const sum = reduced(input, axis);
      return typeof sum === 'string' ? sum : split(sum, axis, dim);
    },
    bytesPerRank: (n, bytes) => ((n - 1) * bytes) / n,
  },
  slice: {
    takesDim: true,
    result: (input, axis, dim) => {
      if (input.partial.includes(axis)) return `the value is partial over ${axis}`;
      return split(input, axis, dim);
    },
    bytesPerRank: () => 0,
  },
};

function reduced(input: Sharding, axis: MeshAxis): Sharding | string {
  if (!input.partial.includes(axis)) return `the value is not partial over ${axis}`;
  return { ...input, partial: input.partial.filter((other) => other !== axis) };
}

function split(input: Sharding, axis: MeshAxis, dim: DimName | undefined): Sharding | string {
  if (dim === undefined) return 'no dimension to split';
  if (Object.values(input.dims).some((axes) => axes.includes(axis)))
    return `${axis} already splits the value`;
  return withAxes(input, dim, [...axesOf(input, dim), axis]);
}
