/**
 * What can be said about shardings without knowing any op: which axes split a dimension, whether two shardings are
 * the same, and which elements of a dimension a rank holds.
 *
 * Axes of size one never appear in a sharding, so `{}` on a mesh `(pp: 8)` means what it means on one device.
 */
import type { Mesh } from '../plan/plan.js';
import type { DimName } from './logical.js';
import type { MeshAxis, Sharding } from './sharded.js';
import type { Interval } from './transitions.js';

/** Every rank holds everything. */
export const REPLICATED: Sharding = { dims: {}, partial: [] };

/** A rank's position in its mesh. */
export type MeshCoords = Readonly<Record<MeshAxis, number>>;

/** Axes that split a dimension, major to minor; none when it is replicated. */
export function axesOf(sharding: Sharding, dim: DimName): readonly MeshAxis[] {
  return sharding.dims[dim] ?? [];
}

/** The sharding with another layout of one dimension. */
export function withAxes(sharding: Sharding, dim: DimName, axes: readonly MeshAxis[]): Sharding {
  const { [dim]: _old, ...others } = sharding.dims;
  return { ...sharding, dims: axes.length === 0 ? others : { ...others, [dim]: axes } };
}

export function sameAxes(a: readonly MeshAxis[], b: readonly MeshAxis[]): boolean {
  return a.length === b.length && a.every((axis, index) => axis === b[index]);
}

/** Equal in every dimension and in what is still partial (in any order: a sum does not care). */
export function sameSharding(a: Sharding, b: Sharding): boolean {
  const dims = new Set([...Object.keys(a.dims), ...Object.keys(b.dims)]) as ReadonlySet<DimName>;
  return (
    a.partial.length === b.partial.length &&
    a.partial.every((axis) => b.partial.includes(axis)) &&
    [...dims].every((dim) => sameAxes(axesOf(a, dim), axesOf(b, dim)))
  );
}

/** Number of blocks that axes make of a dimension. */
export function partsOf(mesh: Mesh, axes: readonly MeshAxis[]): number {
  return axes.reduce((product, axis) => product * mesh[axis], 1);
}

/** Which of those blocks the rank at `coords` has. */
export function partIndex(mesh: Mesh, axes: readonly MeshAxis[], coords: MeshCoords): number {
  return axes.reduce((index, axis) => index * mesh[axis] + coords[axis], 0);
}

/**
 * Block `index` of `parts` equal blocks of `ceil(size / parts)` elements. Where that overshoots (only `vocab` may),
 * the last blocks are short or empty: 10 over 4 is [0,3) [3,6) [6,9) [9,10).
 */
export function blockOf(size: number, parts: number, index: number): Interval {
  const block = Math.ceil(size / parts);
  return [Math.min(size, index * block), Math.min(size, (index + 1) * block)];
}

/**
 * Elements of a dimension that a rank holds. With `kvReplicas` = r, r neighbouring ranks hold the same kv heads:
 * 2 kv heads over tp 4 with r = 2 lie as 0, 0, 1, 1.
 */
export function rankBlock(
  dim: DimName,
  size: number,
  axes: readonly MeshAxis[],
  mesh: Mesh,
  coords: MeshCoords,
  kvReplicas: number,
): Interval {
  const copies = dim === 'kv_heads' && axes.length > 0 ? kvReplicas : 1;
  const parts = partsOf(mesh, axes) / copies;
  return blockOf(size, parts, Math.floor(partIndex(mesh, axes, coords) / copies));
}

/** Coordinates of rank `rank`: `tp` innermost, then `pp`, then `dp`. */
export function coordsOf(mesh: Mesh, rank: number): MeshCoords {
  return {
    tp: rank % mesh.tp,
    pp: Math.floor(rank / mesh.tp) % mesh.pp,
    dp: Math.floor(rank / (mesh.tp * mesh.pp)),
  };
}
