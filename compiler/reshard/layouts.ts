/**
 * Layout changes inside one mesh, as an algebra: which moves a layout allows, what each leads to, and what it costs.
 *
 * A layout is a `Sharding`: per named dimension an ordered list of axes, and the axes over which the value is still a
 * sum. The moves are the collectives of the collective table, and `all_to_all`, which is the gather of one dimension
 * and the slice of another in a single exchange. A move costs its messages times the latency of the axis plus the
 * bytes a rank sends over the bandwidth of the axis.
 *
 * Blocks stay contiguous: a dimension that is split over several axes must divide evenly, one that is split over a
 * single axis may have short last blocks.
 */
import { COLLECTIVES } from '../ir/collective-table.js';
import type { DimName } from '../ir/logical.js';
import type { CollectiveOp, MeshAxis, Sharding } from '../ir/sharded.js';
import { axesOf, partsOf } from '../ir/sharding-algebra.js';
import type { Mesh } from '../plan/plan.js';

export const MESH_AXES: readonly MeshAxis[] = ['dp', 'pp', 'tp'];

/** What is laid out: named dimensions with sizes, and bytes per element. */
export interface LayoutShape {
  readonly dims: readonly { readonly name: DimName; readonly size: number }[];
  readonly elementBytes: number;
}

/** The slowest link between neighbours of an axis. */
export interface AxisLink {
  /** Seconds per message. */
  readonly latency: number;
  /** Bytes per second. */
  readonly bandwidth: number;
}

/** A mesh with the links that its axes run over. */
export interface LinkedMesh {
  readonly mesh: Mesh;
  readonly links: Readonly<Record<MeshAxis, AxisLink>>;
}

/** One exchange among the ranks of an axis. `slice` is local. */
export interface LayoutMove {
  readonly kind: 'all_gather' | 'slice' | 'all_to_all' | 'reduce_scatter' | 'all_reduce';
  readonly axis: MeshAxis;
  /** Dimension gathered; for `all_to_all`, the one that becomes longer. */
  readonly gathers?: DimName;
  /** Dimension sliced or scattered; for `all_to_all`, the one that becomes shorter. */
  readonly splits?: DimName;
  readonly result: Sharding;
  /** Bytes that each rank sends. */
  readonly bytes: number;
  /** Seconds. */
  readonly cost: number;
}

/** One collective of the collective table. */
export interface CollectiveStep {
  readonly kind: CollectiveOp['kind'];
  readonly axis: MeshAxis;
  readonly dim?: DimName;
}

/** A move as collectives of the table: an all-to-all is a gather and a slice. */
export function collectivesOf({ kind, axis, gathers, splits }: LayoutMove): readonly CollectiveStep[] {
  const over = (step: CollectiveOp['kind'], dim: DimName | undefined): CollectiveStep => {
    return { kind: step, axis, ...(dim !== undefined && { dim }) };
  };
  if (kind === 'all_to_all') return [over('all_gather', gathers), over('slice', splits)];
  return [over(kind, gathers ?? splits)];
}

/** Whether a layout can lie on the mesh: its axes are real and used once, and its blocks are contiguous. */
export function isLegal(layout: Sharding, shape: LayoutShape, mesh: Mesh): boolean {
  const used = [...layout.partial, ...shape.dims.flatMap(({ name }) => axesOf(layout, name))];
  if (new Set(used).size !== used.length || used.some((axis) => mesh[axis] === 1)) return false;
  const named = new Set<string>(shape.dims.map(({ name }) => name));
  if (Object.keys(layout.dims).some((name) => !named.has(name))) return false;
  return shape.dims.every(({ name, size }) => {
    const axes = axesOf(layout, name);
    const parts = partsOf(mesh, axes);
    return axes.length <= 1 || size % parts === 0;
  });
}

/** Bytes of the largest block of a layout: what a rank has to have room for. */
export function localBytes(layout: Sharding, shape: LayoutShape, mesh: Mesh): number {
  return shape.dims.reduce(
    (bytes, { name, size }) => bytes * Math.ceil(size / partsOf(mesh, axesOf(layout, name))),
    shape.elementBytes,
  );
}

/** A key that is the same for the same layout only. */
export function layoutKey(layout: Sharding, shape: LayoutShape): string {
  const dims = shape.dims.map(({ name }) => axesOf(layout, name).join('.'));
  return `${dims.join('|')}/${MESH_AXES.filter((axis) => layout.partial.includes(axis)).join('.')}`;
}

/** Every move that a layout allows, in a fixed order. */
export function movesFrom(layout: Sharding, shape: LayoutShape, linked: LinkedMesh): readonly LayoutMove[] {
  const { mesh } = linked;
  const moves: LayoutMove[] = [];
  const add = (
    kind: LayoutMove['kind'],
    axis: MeshAxis,
    result: Sharding | string,
    dims: Pick<LayoutMove, 'gathers' | 'splits'>,
  ): void => {
    if (typeof result === 'string' || !isLegal(result, shape, mesh)) return;
    const larger = Math.max(localBytes(layout, shape, mesh), localBytes(result, shape, mesh));
    moves.push({ kind, axis, ...dims, result, ...priceOf(kind, axis, larger, linked) });
  };
  for (const axis of MESH_AXES.filter((candidate) => mesh[candidate] > 1)) {
    add('all_reduce', axis, COLLECTIVES.all_reduce.result(layout, axis, undefined), {});
    for (const { name } of shape.dims) {
      add('slice', axis, COLLECTIVES.slice.result(layout, axis, name), { splits: name });
      add('reduce_scatter', axis, COLLECTIVES.reduce_scatter.result(layout, axis, name), { splits: name });
      const gathered = COLLECTIVES.all_gather.result(layout, axis, name);
      if (typeof gathered === 'string') continue;
      add('all_gather', axis, gathered, { gathers: name });
      for (const other of shape.dims) {
        if (other.name === name) continue;
        const exchanged = COLLECTIVES.slice.result(gathered, axis, other.name);
        add('all_to_all', axis, exchanged, { gathers: name, splits: other.name });
      }
    }
  }
  return moves;
}

/**
 * Bytes a rank sends and seconds, given the larger of its input and output. An all-to-all keeps the block for itself
 * and sends the others.
 */
function priceOf(
  kind: LayoutMove['kind'],
  axis: MeshAxis,
  larger: number,
  { mesh, links }: LinkedMesh,
): Pick<LayoutMove, 'bytes' | 'cost'> {
  const n = mesh[axis];
  const bytes = kind === 'all_to_all' ? ((n - 1) * larger) / n : COLLECTIVES[kind].bytesPerRank(n, larger);
  if (kind === 'slice') return { bytes: 0, cost: 0 };
  const messages = kind === 'all_reduce' ? 2 * (n - 1) : n - 1;
  const { latency, bandwidth } = links[axis];
  return { bytes, cost: messages * latency + bytes / bandwidth };
}
