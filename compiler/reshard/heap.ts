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
  const less = (a: number, b: number): boolean => compare(items[a]!, items[b]!) < 0;
  const swap = (a: number, b: number): void => {
    [items[a], items[b]] = [items[b]!, items[a]!];
  };
  const push = (item: Item): void => {
    let at = items.push(item) - 1;
    for (let parent = (at - 1) >> 1; at > 0 && less(at, parent); parent = (at - 1) >> 1) {
      swap(at, parent);
      at = parent;
    }
  };
  const pop = (): Item | undefined => {
    const top = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return top;
    items[0] = last;
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = at;
      if (left < items.length && less(left, least)) least = left;
      if (right < items.length && less(right, least)) least = right;
      if (least === at) return top;
      swap(at, least);
      at = least;
    }
  };
  return { push, peek: () => items[0], pop };
}
