/**
 * Page lists: who may use which page. A page is free or taken, never both; taking and giving are O(pages moved).
 * Giving a page that is not taken is a bug and throws.
 */

export interface PageList {
  readonly total: number;
  /** Pages that nobody holds. */
  free(): number;
  /** Takes `count` pages, or none at all when there are fewer. */
  take(count: number): number[] | undefined;
  give(pages: readonly number[]): void;
}

/**
 * The last pages given are taken first, in the order they had in their sequence, so that a sequence's pages stay in
 * runs that a copy can move at once.
 */
export function createPageList(total: number): PageList {
  const taken = new Uint8Array(total);
  const stack = Array.from({ length: total }, (_, i) => total - 1 - i);
  return {
    total,
    free: () => stack.length,
    take(count) {
      if (count > stack.length) return undefined;
      const pages = stack.splice(stack.length - count, count).reverse();
      for (const page of pages) taken[page] = 1;
      return pages;
    },
    give(pages) {
      for (let i = pages.length - 1; i >= 0; i--) {
        const page = pages[i]!;
        if (taken[page] !== 1) throw new Error(`page ${page} given back but not taken`);
        taken[page] = 0;
        stack.push(page);
      }
    },
  };
}
