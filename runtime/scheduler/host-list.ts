/**
 * The page list of the host tier. A page of it is claimed before anything is put into it: a prompt that is to be handed over
 * holds its pages from admission on (see admission.ts). So beside a list it says which pages are in use, and what will be put
 * into the others: prompts that begin alike claim the pages of that beginning once, and the first of them that is prefilled
 * puts it out. Whoever reads a page looks for it among those that are published, as what is promised is not there yet.
 *
 * Invariant. A promised page is held, so that it is nobody else's. One that all give up before it is filled is promised no more.
 */
import { createPageList } from './pages.js';
import type { PageKey, PageList } from './pages.js';

export interface HostList extends PageList {
  /** Says what will be put into a held page, unless another holds that or is promised to. */
  promise(page: number, key: PageKey): void;
  /** The list for those who claim pages: it finds promised ones too. */
  readonly claims: Pick<PageList, 'find' | 'holders'>;
  /** Something is put into held pages, from now on. */
  fill(pages: readonly number[]): void;
  /**
   * Whether all that is to be in a page is in it: it was published, or would have been had another not been before it. It
   * is not written again, as others may read it.
   */
  isWhole(page: number): boolean;
  /** Held pages that something is in, or is being put into. */
  filled(): number;
  /** The most that ever were. */
  mostFilled(): number;
}

export function createHostList(total: number): HostList {
  const list = createPageList(total, 'published');
  const promised = new Map<PageKey, number>();
  const promises = new Map<number, PageKey>();
  /** Pages that hold something, be they held or found. */
  const isFilled: boolean[] = [];
  const isWhole: boolean[] = [];
  let filled = 0;
  let most = 0;
  const find = (key: PageKey): number | undefined => list.find(key) ?? promised.get(key);
  const count = (pages: number): void => {
    filled += pages;
    most = Math.max(most, filled);
  };
  return {
    ...list,
    take(pages) {
      const taken = list.take(pages);
      for (const page of taken ?? []) isFilled[page] = isWhole[page] = false;
      return taken;
    },
    publish(page, ...as) {
      isWhole[page] = true;
      list.publish(page, ...as);
    },
    isWhole: (page) => isWhole[page] === true,
    give(pages) {
      list.give(pages);
      for (const page of pages) {
        if (list.holders(page) > 0) continue;
        if (isFilled[page]) filled--;
        const key = promises.get(page);
        if (key === undefined) continue;
        promises.delete(page);
        promised.delete(key);
      }
    },
    share(pages) {
      const found = pages.filter((page) => list.holders(page) === 0 && isFilled[page]).length;
      list.share(pages);
      count(found);
    },
    promise(page, key) {
      if (find(key) !== undefined || promises.has(page)) return;
      promised.set(key, page);
      promises.set(page, key);
    },
    claims: { find, holders: list.holders },
    fill(pages) {
      for (const page of pages) {
        if (isFilled[page]) continue;
        isFilled[page] = true;
        count(1);
      }
    },
    filled: () => filled,
    mostFilled: () => most,
  };
}
