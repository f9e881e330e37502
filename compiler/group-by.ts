/** Items by a key, in their order; keys in the order in which they first appear. */
export function groupBy<Key, Item>(
  items: Iterable<Item>,
  keyOf: (item: Item) => Key,
): ReadonlyMap<Key, readonly Item[]> {
  const groups = new Map<Key, Item[]>();
  // An index costs less than an iterator, which shows where the weights of a model are sorted.
  const list = Array.isArray(items) ? (items as readonly Item[]) : [...items];
  for (let index = 0; index < list.length; index++) {
    const item = list[index]!;
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
