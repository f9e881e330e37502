/**
 * Carries out layout moves on element ids, rank by rank and without a device. It knows what each collective does to
 * blocks, not what the algebra says about it: ranks concatenate in the order of the axis, cut their own block, or add.
 */
import type { LayoutMove, LayoutShape } from '../../../compiler/reshard/layouts.js';
import type { MeshAxis, Sharding } from '../../../compiler/ir/sharded.js';
import { axesOf, blockOf, coordsOf, partIndex, partsOf } from '../../../compiler/ir/sharding-algebra.js';
import type { Mesh } from '../../../compiler/plan/plan.js';

/** A rank's block: sizes by dimension of the shape, values row-major. */
export interface Block {
  readonly sizes: readonly number[];
  readonly values: readonly number[];
}

export interface Executed {
  /** Block of each rank, in rank order. */
  readonly blocks: readonly Block[];
  /** Most elements that a rank sent. */
  readonly sent: number;
}

/** Blocks of a layout. Where it is partial, each rank of the axis has a share of the sum: powers of two below it. */
export function layOut(layout: Sharding, shape: LayoutShape, mesh: Mesh): readonly Block[] {
  const sizes = shape.dims.map((dim) => dim.size);
  return ranksOf(mesh).map((coords) => {
    const spans = shape.dims.map(({ name, size }) => {
      const axes = axesOf(layout, name);
      return blockOf(size, partsOf(mesh, axes), partIndex(mesh, axes, coords));
    });
    const weight = layout.partial.reduce((share, axis) => share * shareOf(mesh[axis], coords[axis]), 1);
    return fill(
      spans.map(([start, end]) => end - start),
      (index) => weight * (1 + index.reduce((id, at, dim) => id * sizes[dim]! + at + spans[dim]![0], 0)),
    );
  });
}

/** Shares of `n` ranks that add up to one. */
function shareOf(n: number, rank: number): number {
  return rank === n - 1 ? 2 ** -(n - 1) : 2 ** -(rank + 1);
}

/** Carries out one move. */
export function execute(
  move: LayoutMove,
  blocks: readonly Block[],
  shape: LayoutShape,
  mesh: Mesh,
): Executed {
  const dim = (name: string | undefined): number => shape.dims.findIndex((entry) => entry.name === name);
  const [gathers, splits] = [dim(move.gathers), dim(move.splits)];
  let sent = 0;
  const result = ranksOf(mesh).map((coords, rank) => {
    const group = groupOf(mesh, move.axis, rank);
    const me = coords[move.axis];
    const n = group.length;
    const mine = blocks[rank]!;
    const theirs = group.map((other) => blocks[other]!);
    switch (move.kind) {
      case 'slice':
        return part(mine, splits, n, me);
      case 'all_gather':
        sent = Math.max(sent, ((n - 1) * concat(theirs, gathers).values.length) / n);
        return concat(theirs, gathers);
      case 'all_to_all':
        sent = Math.max(sent, ((n - 1) * mine.values.length) / n);
        return concat(
          theirs.map((block) => part(block, splits, n, me)),
          gathers,
        );
      case 'all_reduce':
        sent = Math.max(sent, (2 * (n - 1) * mine.values.length) / n);
        return add(theirs);
      case 'reduce_scatter':
        sent = Math.max(sent, ((n - 1) * mine.values.length) / n);
        return part(add(theirs), splits, n, me);
    }
  });
  return { blocks: result, sent };
}

function ranksOf(mesh: Mesh): readonly Readonly<Record<MeshAxis, number>>[] {
  return Array.from({ length: mesh.dp * mesh.pp * mesh.tp }, (_, rank) => coordsOf(mesh, rank));
}

/** Ranks that differ from `rank` in one axis only, in the order of that axis. */
function groupOf(mesh: Mesh, axis: MeshAxis, rank: number): readonly number[] {
  const mine = coordsOf(mesh, rank);
  return ranksOf(mesh).flatMap((coords, other) =>
    (['dp', 'pp', 'tp'] as const).every((name) => name === axis || coords[name] === mine[name])
      ? [other]
      : [],
  );
}

function fill(sizes: readonly number[], value: (index: readonly number[]) => number): Block {
  const count = sizes.reduce((product, size) => product * size, 1);
  const values = Array.from({ length: count }, (_, flat) => {
    const index: number[] = [];
    for (let dim = sizes.length - 1, rest = flat; dim >= 0; dim--) {
      index.unshift(rest % sizes[dim]!);
      rest = Math.floor(rest / sizes[dim]!);
    }
    return value(index);
  });
  return { sizes, values };
}

function at(block: Block, index: readonly number[]): number {
  return block.values[index.reduce((flat, position, dim) => flat * block.sizes[dim]! + position, 0)]!;
}

/** Block `me` of `n` along a dimension. */
function part(block: Block, dim: number, n: number, me: number): Block {
  const [start, end] = blockOf(block.sizes[dim]!, n, me);
  const sizes = block.sizes.map((size, other) => (other === dim ? end - start : size));
  return fill(sizes, (index) =>
    at(
      block,
      index.map((position, other) => (other === dim ? position + start : position)),
    ),
  );
}

function concat(blocks: readonly Block[], dim: number): Block {
  const owners = blocks.flatMap((block) =>
    Array.from({ length: block.sizes[dim]! }, (_, position) => ({ block, position })),
  );
  const sizes = blocks[0]!.sizes.map((size, other) => (other === dim ? owners.length : size));
  return fill(sizes, (index) => {
    const { block, position } = owners[index[dim]!]!;
    return at(
      block,
      index.map((value, other) => (other === dim ? position : value)),
    );
  });
}

function add(blocks: readonly Block[]): Block {
  const values = blocks[0]!.values.map((_, flat) =>
    blocks.reduce((sum, block) => sum + block.values[flat]!, 0),
  );
  return { sizes: blocks[0]!.sizes, values };
}
