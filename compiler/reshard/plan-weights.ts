/** Re-shards of weights: from what the stages hold to moves, with the checkpoint's copy as the origin of all. */
import type { RankHolding, TensorPiece } from '../ir/transitions.js';
import { planMoves, type MovePlan, type Placement } from './plan-moves.js';
import type { Roads } from './roads.js';
import { weightSource } from './weight-source.js';

/**
 * Moves from holdings to holdings. `bytesOf` is what a piece takes in device memory; the tensors of `stay` are
 * resident in both shardings and take no part.
 */
export function planWeights(
  from: readonly RankHolding[],
  to: readonly RankHolding[],
  bytesOf: (piece: TensorPiece) => number,
  roads: Roads,
  stay: ReadonlySet<string> = new Set(),
): MovePlan {
  const modelBytes = wholeTensors([...from, ...to]).reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  const origin = (device: number): ReturnType<typeof weightSource> => weightSource(roads, device, modelBytes);
  const moving = (ranks: readonly RankHolding[]): readonly Placement[] =>
    ranks.map(({ device, weights }) => ({
      device,
      weights: weights.filter(({ tensor }) => !stay.has(tensor)),
    }));
  return planMoves({ from: moving(from), to: moving(to), bytesOf, origin }, roads);
}

/** All tensors that the holdings name, each as far as any of them reaches. */
function wholeTensors(holdings: readonly RankHolding[]): readonly TensorPiece[] {
  const extents = new Map<string, readonly [rows: number, cols: number]>();
  for (const { tensor, rows, cols } of holdings.flatMap((rank) => rank.weights)) {
    const [height, width] = extents.get(tensor) ?? [0, 0];
    extents.set(tensor, [Math.max(height, rows[1]), Math.max(width, cols[1])]);
  }
  return [...extents].map(([tensor, [height, width]]) => ({ tensor, rows: [0, height], cols: [0, width] }));
}
