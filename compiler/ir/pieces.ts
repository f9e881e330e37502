/** Rectangles of tensors, sorted by tensor. */

/** Items by the tensor they are about, in their order. */
export function byTensor<Item extends { readonly tensor: string }>(
  items: readonly Item[],
): ReadonlyMap<string, readonly Item[]> {
  const map = new Map<string, Item[]>();
  for (const item of items) {
    const list = map.get(item.tensor);
    if (list) list.push(item);
    else map.set(item.tensor, [item]);
  }
  return map;
}
