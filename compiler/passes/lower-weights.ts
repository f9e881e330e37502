/**
 * Weight recipes to the buffers of each rank position, and the cuts that transitions need.
 *
 * A buffer's pieces are whole rectangles at first. Where another stage's holding on the same device overlaps only
 * part of a piece, the piece is cut along that boundary: afterwards each piece is either resident or not, and a
 * transition names pieces by index.
 */
import { byTensor } from '../ir/pieces.js';
import { weightBytes } from '../ir/device-layout.js';
import type { RuntimeWeight, WeightPiece, WeightShard } from '../ir/runtime-graph.js';
import type { Interval, TensorPiece } from '../ir/transitions.js';
import { once } from '../once.js';
import { tensorNames, weightPart, type MatrixWeight, type WeightPart } from './block-weights.js';
import type { TpLayout } from './placement.js';
import type { WeightRecipe } from './program-builder.js';
import { contains, intersect, subtract, type Rectangle } from '../ir/rectangles.js';

/**
 * Lowers the weights of (pp, tp) positions of a stage. Layers that are alike have their rectangles in common, positions
 * the names of tensors.
 */
export function shardLowering(
  layout: TpLayout,
): (recipes: readonly WeightRecipe[], pp: number, tp: number) => WeightShard {
  const nameOf = tensorNames();
  return (recipes, pp, tp) => {
    const partOf = once((weight: MatrixWeight) => weightPart(weight, layout, tp));
    return { pp, tp, weights: recipes.map((recipe) => lowerWeight(recipe, partOf, nameOf)) };
  };
}

function lowerWeight(
  { id, dtype, layer, parts }: WeightRecipe,
  partOf: (weight: MatrixWeight) => WeightPart,
  nameOf: (weight: MatrixWeight, layer: number) => string,
): RuntimeWeight {
  const vector = parts[0]!.rowDims.length === 0;
  const pieces: WeightPiece[] = [];
  let along = 0;
  let across = 0;
  for (const weight of parts) {
    const part = partOf(weight);
    if (part.rectangle) {
      const { rows, cols } = part.rectangle;
      pieces.push({ tensor: nameOf(weight, layer), rows, cols, at: vector ? [0, along] : [along, 0] });
    }
    along += vector ? part.cols : part.rows;
    across = vector ? 1 : part.cols;
  }
  const [rows, cols] = vector ? [across, along] : [along, across];
  return { id, dtype, rows, cols, pieces, bytes: weightBytes({ dtype, rows, cols }) };
}

/**
 * Answers shards cut along the boundaries of other holdings of the same tensors, which are sorted once for all; what is not
 * cut is the same value.
 */
export function shardCutter(): (
  shard: WeightShard,
  holdings: ReadonlySet<readonly TensorPiece[]>,
) => WeightShard {
  const sorted = once(byTensor<TensorPiece>);
  return (shard, holdings) => {
    if (holdings.size === 0) return shard;
    const lists = [...holdings].map(sorted);
    const weights = shard.weights.map((weight) => {
      // Most pieces are not cut: they are looked at before anything is made.
      const isCut = (piece: WeightPiece): boolean => {
        for (const list of lists)
          for (const other of list.get(piece.tensor) ?? NOTHING) if (isCutBy(piece, other)) return true;
        return false;
      };
      if (!weight.pieces.some(isCut)) return weight;
      const pieces = weight.pieces.flatMap((piece) =>
        isCut(piece)
          ? cutPiece(
              piece,
              lists.flatMap((list) => list.get(piece.tensor) ?? NOTHING),
            )
          : [piece],
      );
      return { ...weight, pieces };
    });
    return { ...shard, weights };
  };
}

const NOTHING: readonly TensorPiece[] = [];

function isCutBy(piece: Rectangle, boundary: Rectangle): boolean {
  return intersect(piece, boundary) !== undefined && !contains(boundary, piece);
}

function cutPiece(piece: WeightPiece, boundaries: readonly Rectangle[]): readonly WeightPiece[] {
  const rectangles = boundaries.reduce<readonly Rectangle[]>(
    (parts, boundary) =>
      parts.flatMap((part) =>
        isCutBy(part, boundary) ? [intersect(part, boundary)!, ...subtract(part, boundary)] : [part],
      ),
    [piece],
  );
  return rectangles
    .map(({ rows, cols }) => ({ tensor: piece.tensor, rows, cols, at: placeInside(piece, rows, cols) }))
    .sort((a, b) => a.at[0] - b.at[0] || a.at[1] - b.at[1]);
}

/** Where a rectangle inside a piece lands in the piece's buffer. */
export function placeInside(piece: WeightPiece, rows: Interval, cols: Interval): readonly [number, number] {
  return [piece.at[0] + rows[0] - piece.rows[0], piece.at[1] + cols[0] - piece.cols[0]];
}
