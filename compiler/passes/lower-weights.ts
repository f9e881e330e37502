/**
 * Weight recipes to the buffers of each rank position, and the cuts that transitions need.
 *
 * A buffer's pieces are whole rectangles at first. Where another stage's holding on the same device overlaps only
 * part of a piece, the piece is cut along that boundary: afterwards each piece is either resident or not, and a
 * transition names pieces by index.
 */
import type { byTensor } from '../ir/pieces.js';
import { weightBytes } from '../ir/device-layout.js';
import type { RuntimeWeight, WeightPiece, WeightShard } from '../ir/runtime-graph.js';
import type { Interval, TensorPiece } from '../ir/transitions.js';
import { once } from '../once.js';
import { tensorNames, weightPart, type MatrixWeight, type WeightPart } from './block-weights.js';
import type { TpLayout } from './placement.js';
import type { WeightRecipe } from './program-builder.js';
import {
  contains,
  intersect,
  meets,
  sameInterval,
  sameRectangle,
  subtract,
  type Rectangle,
} from '../ir/rectangles.js';

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
 * Answers shards cut along the boundaries of other holdings of the same tensors; what is not cut is the same value.
 *
 * @param sorted holdings by tensor
 */
export function shardCutter(
  sorted: typeof byTensor<TensorPiece>,
): (shard: WeightShard, holdings: ReadonlySet<readonly TensorPiece[]>) => WeightShard {
  const cutAlike = cutOnceForAlike();
  return (shard, holdings) => {
    if (holdings.size === 0) return shard;
    const lists = [...holdings].map(sorted);
    // Most pieces are not cut: they are looked at before anything is made.
    const isCut = (piece: WeightPiece): boolean => {
      for (const list of lists) {
        const boundaries = list.get(piece.tensor);
        if (boundaries !== undefined && boundaries.some((boundary) => isCutBy(piece, boundary))) return true;
      }
      return false;
    };
    const weights = shard.weights.map((weight) => {
      if (!weight.pieces.some(isCut)) return weight;
      const pieces = weight.pieces.flatMap((piece) =>
        isCut(piece)
          ? cutAlike(
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
  return meets(piece, boundary) && !contains(boundary, piece);
}

/**
 * Cuts pieces. Those of layers that are alike have one value for their rows, and boundaries at the same places: they are
 * cut once, and have the rectangles of their parts in common.
 */
function cutOnceForAlike(): (piece: WeightPiece, boundaries: readonly Rectangle[]) => readonly WeightPiece[] {
  interface Cut {
    readonly piece: WeightPiece;
    readonly boundaries: readonly Rectangle[];
    readonly parts: readonly WeightPiece[];
  }
  const cuts = new Map<Interval, Cut[]>();
  return (piece, boundaries) => {
    let known = cuts.get(piece.rows);
    if (known === undefined) cuts.set(piece.rows, (known = []));
    const same = known.find(
      (cut) =>
        sameInterval(cut.piece.cols, piece.cols) &&
        sameInterval(cut.piece.at, piece.at) &&
        cut.boundaries.length === boundaries.length &&
        cut.boundaries.every((boundary, index) => sameRectangle(boundary, boundaries[index]!)),
    );
    const { tensor } = piece;
    if (same) return same.parts.map(({ rows, cols, at }) => ({ tensor, rows, cols, at }));
    const parts = cutPiece(piece, boundaries);
    known.push({ piece, boundaries, parts });
    return parts;
  };
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
