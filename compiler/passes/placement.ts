/**
 * Where a sharded weight lies: from named dimensions and a sharding to intervals of rows and columns.
 *
 * A matrix is `[N, K]`: its row dimensions followed by its column dimensions, each group flattened row-major. Only
 * the first dimension of a group may be split, so that a rank's part of a group is one interval. A dimension that
 * does not divide evenly (the vocabulary) is split into equal extents rounded up: the last ranks hold fewer real
 * elements, or none, and the rest of their extent is padding.
 *
 * What a rank holds of one dimension, replicated KV heads included, is the rule of `sharding-algebra.ts`.
 */
import type { Dim } from '../ir/logical.js';
import { intervalLength } from '../ir/rectangles.js';
import type { Sharding } from '../ir/sharded.js';
import { rankBlock } from '../ir/sharding-algebra.js';
import type { Interval } from '../ir/transitions.js';

/** The part of a stage that decides how a dimension is cut. */
export interface TpLayout {
  readonly tp: number;
  readonly kvReplicas: number;
}

/** A rank's part of a flattened group of dimensions. */
export interface Span1d {
  /** Real elements held. */
  readonly held: Interval;
  /** Elements a rank has room for, padding included; the same on every rank. */
  readonly extent: number;
}

/** What tp rank `rank` holds of a flattened group of dimensions; an empty group is a single element. */
export function groupSpan(dims: readonly Dim[], sharding: Sharding, layout: TpLayout, rank: number): Span1d {
  const [first, ...rest] = dims;
  if (first === undefined) return { held: [0, 1], extent: 1 };
  for (const dim of rest) {
    if (splitsOverTp(dim, sharding)) {
      throw new Error(`${dim.name} is split inside a group of dimensions`);
    }
  }
  const inner = rest.reduce((product, dim) => product * sizeOf(dim), 1);
  const { held, extent } = dimSpan(first, sharding, layout, rank);
  return { held: [held[0] * inner, held[1] * inner], extent: extent * inner };
}

/** What tp rank `rank` holds of one dimension. */
export function dimSpan(dim: Dim, sharding: Sharding, layout: TpLayout, rank: number): Span1d {
  const size = sizeOf(dim);
  const axes = splitsOverTp(dim, sharding) ? (['tp'] as const) : [];
  const mesh = { dp: 1, pp: 1, tp: layout.tp };
  const held = (tp: number): Interval =>
    rankBlock(dim.name, size, axes, mesh, { dp: 0, pp: 0, tp }, layout.kvReplicas);
  // The first rank's block is never short.
  return { held: held(rank), extent: intervalLength(held(0)) };
}

/** Element count of one dimension of the whole model; only weight and feature dimensions have one. */
export function sizeOf(dim: Dim): number {
  if (dim.size === undefined) throw new Error(`${dim.name} has no size before run time`);
  return dim.size;
}

/** Whether a sharding cuts the dimension over `tp`. */
export function splitsOverTp(dim: Dim, sharding: Sharding): boolean {
  return sharding.dims[dim.name]?.includes('tp') ?? false;
}
