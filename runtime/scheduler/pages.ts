/**
 * Page lists: who may use which page. A page is free or taken, never both; taking and giving are O(pages moved).
 * Giving a page that is not taken is a bug and throws.
 */

export interface PageList {
  readonly total: number;
  /** Pages that nobody holds. */
  free(): number;
  /** The most pages that were ever taken at once. */
  most(): number;
  /** Takes `count` pages, or none at all when there are fewer. */
  take(count: number): number[] | undefined;
  give(pages: readonly number[]): void;
}

/**
 * The last pages given are taken first, in the order they had in their sequence, so that a sequence's pages stay in
 * runs that a copy can move at once; then those that were never taken. Costs memory for the most pages ever taken
 * alone: a host tier of a terabyte has hundreds of millions of pages of a small model.
 */
export function createPageList(total: number): PageList {
  /** Of the pages below `fresh`; nobody ever took the others. */
  const taken: boolean[] = [];
  const given: number[] = [];
  let fresh = 0;
  let most = 0;
  const free = (): number => given.length + total - fresh;
  return {
    total,
    free,
    most: () => most,
    take(count) {
      if (count > free()) return undefined;
      most = Math.max(most, total - free() + count);
      const reused = Math.min(count, given.length);
      const pages = given.splice(given.length - reused, reused).reverse();
      while (pages.length < count) pages.push(fresh++);
      for (const page of pages) taken[page] = true;
      return pages;
    },
    give(pages) {
      for (let i = pages.length - 1; i >= 0; i--) {
        const page = pages[i]!;
        if (taken[page] !== true) throw new Error(`page ${page} given back but not taken`);
        taken[page] = false;
        given.push(page);
      }
    },
  };
}

/** Part of a list: at most `limit` pages of it are taken through here at a time. */
export function createPageShare(list: PageList, limit: number): PageList {
  let held = 0;
  let most = 0;
  const free = (): number => Math.min(list.free(), limit - held);
  return {
    total: limit,
    free,
    most: () => most,
    take(count) {
      if (count > free()) return undefined;
      held += count;
      most = Math.max(most, held);
      return list.take(count);
    },
    give(pages) {
      list.give(pages);
      held -= pages.length;
    },
  };
}
