/** Rectangles of tensors: sorted by tensor, and in the buffers of weights. */
import { groupBy } from '../group-by.js';
import type { Rectangle } from './rectangles.js';
import type { WeightPiece } from './runtime-graph.js';

/** Items by the tensor they are about, in their order. */
export function byTensor<Item extends { readonly tensor: string }>(
  items: readonly Item[],
): ReadonlyMap<string, readonly Item[]> {
  return groupBy(items, ({ tensor }) => tensor);
}

/** Where a piece lies in the rows and columns of its weight's buffer. */
export function bufferRectangle({ at, rows, cols }: WeightPiece): Rectangle {
  return { rows: [at[0], at[0] + rows[1] - rows[0]], cols: [at[1], at[1] + cols[1] - cols[0]] };
}
