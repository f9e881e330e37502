/** A binary heap: the least item first, in the order of a comparison. */

export interface Heap<Item> {
  readonly push: (item: Item) => void;
  /** The least item; undefined when there is none. */
  readonly peek: () => Item | undefined;
  /** Takes the least item out; undefined when there is none. */
  readonly pop: () => Item | undefined;
}

export function createHeap<Item>(compare: (a: Item, b: Item) => number): Heap<Item> {
  const items: Item[] = [];
  const push = (item: Item): void => {
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = items[parent]!;
      if (compare(item, above) >= 0) break;
      items[at] = above;
      at = parent;
    }
    items[at] = item;
  };
  const pop = (): Item | undefined => {
    const top = items[0];
    const last = items.pop();
    const count = items.length;
    if (count === 0 || last === undefined) return top;
    let at = 0;
    for (let child = 1; child < count; child = 2 * at + 1) {
      if (child + 1 < count && compare(items[child + 1]!, items[child]!) < 0) child++;
      const below = items[child]!;
      if (compare(last, below) <= 0) break;
      items[at] = below;
      at = child;
    }
    items[at] = last;
    return top;
  };
  return { push, peek: () => items[0], pop };
}
