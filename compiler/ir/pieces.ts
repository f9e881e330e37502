/** Rectangles of tensors, sorted by tensor. */
import { groupBy } from '../group-by.js';

/** Items by the tensor they are about, in their order. */
export function byTensor<Item extends { readonly tensor: string }>(
  items: readonly Item[],
): ReadonlyMap<string, readonly Item[]> {
  return groupBy(items, ({ tensor }) => tensor);
}
