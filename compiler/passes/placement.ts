/**
 * Where a sharded weight lies: from named dimensions and a sharding to intervals of rows and columns.
 *
 * A matrix is `[N, K]`: its row dimensions followed by its column dimensions, each group flattened row-major. Only
 * the first dimension of a group may be split, so that a rank's part of a group is one interval. A dimension that
 * does not divide evenly (the vocabulary) is split into equal extents rounded up: the last ranks hold fewer real
 * elements, or none, and the rest of their extent is padding.
 *
 * Replicated KV heads: with `kvReplicas` R, the tp ranks form tp / R groups of R neighbours, and `kv_heads` is split
 * over the groups. Example: tp 8, 4 kv heads, R = 2: ranks 0 and 1 hold head 0, ranks 2 and 3 hold head 1.
 */
import type { Dim } from '../ir/logical.js';
import type { Sharding } from '../ir/sharded.js';
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
  if (!splitsOverTp(dim, sharding)) return { held: [0, size], extent: size };
  const replicas = dim.name === 'kv_heads' ? layout.kvReplicas : 1;
  const parts = layout.tp / replicas;
  const part = Math.floor(rank / replicas);
  const extent = Math.ceil(size / parts);
  return { held: [Math.min(size, part * extent), Math.min(size, (part + 1) * extent)], extent };
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
