/** Re-shards of weights: from what the stages hold to moves, with the checkpoint's copy as the origin of all. */
import type { RankHolding } from '../ir/transitions.js';
import { planMoves, type MovePlan } from './plan-moves.js';
import type { Roads } from './roads.js';
import { weightSource } from './weight-source.js';

/** Moves from holdings to holdings. `elementBytes` is that of the weights in device memory. */
export function planWeights(
  from: readonly RankHolding[],
  to: readonly RankHolding[],
  elementBytes: number,
  roads: Roads,
): MovePlan {
  const modelBytes = modelElements([...from, ...to]) * elementBytes;
  const origin = (device: number): ReturnType<typeof weightSource> => weightSource(roads, device, modelBytes);
  return planMoves({ from, to, elementBytes: () => elementBytes, origin }, roads);
}

/** Elements of all tensors that the holdings name, each as far as any of them reaches. */
function modelElements(holdings: readonly RankHolding[]): number {
  const extents = new Map<string, readonly [rows: number, cols: number]>();
  for (const { tensor, rows, cols } of holdings.flatMap((rank) => rank.weights)) {
    const [height, width] = extents.get(tensor) ?? [0, 0];
    extents.set(tensor, [Math.max(height, rows[1]), Math.max(width, cols[1])]);
  }
  return [...extents.values()].reduce((sum, [height, width]) => sum + height * width, 0);
}
