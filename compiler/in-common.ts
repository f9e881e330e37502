import { onceForObject } from './once.js';

/** How many items of one list are in another. Plans that are compared have their lists in common: two are gone through once. */
export function countInCommon<Item>(first: readonly Item[], second: readonly Item[]): number {
  return inCommonWith(first)(second).count;
}

const inCommonWith = onceForObject((first: readonly unknown[]) => {
  const items = new Set(first);
  return onceForObject((second: readonly unknown[]) => ({
    count: second.filter((item) => items.has(item)).length,
  }));
});
