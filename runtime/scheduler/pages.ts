/**
 * Page lists: who may use which page. A page has holders or is free; taking and giving are O(pages moved). Giving a page
 * that nobody holds is a bug and throws.
 *
 * A held page may be *published*: others find it by the key of what it holds and share it, as long as nobody writes to
 * it. It stays published when it is free, until it is taken for something else, so that free pages are a cache; the one
 * that was given back first goes first. A page that is not full may be published too: it is then found by what its first
 * slots hold, and those are not written again while it can be found.
 */
import { createAlikeIndex } from './alike.js';
import type { AlikeIndex, LikePage, PageTokens } from './alike.js';

/** Names what a page holds: the tokens of the page and all tokens before it. Equal keys mean equal KV. */
export type PageKey = string;

export interface PageList {
  readonly total: number;
  /** Pages that nobody holds, published or not. */
  free(): number;
  /** The most pages that were ever held at once. */
  most(): number;
  /** Takes `count` pages, or none at all when there are fewer. */
  take(count: number): number[] | undefined;
  /** Gives up one hold of each page. */
  give(pages: readonly number[]): void;
  /** Those who hold the page. */
  holders(page: number): number;
  /** Pages that are published or held, with one more holder. */
  share(pages: readonly number[]): void;
  /**
   * Lets others find a held page, unless another is found by the key already.
   *
   * @param held also lets it be found by its first tokens
   */
  publish(page: number, key: PageKey, held?: PageTokens): void;
  /** What the page holds is not to be had again: nobody finds it from now on. */
  withdraw(page: number): void;
  find(key: PageKey): number | undefined;
  /** Another number than before where another page may be found by some key. */
  changes(): number;
  /** The published page that begins with most of the tokens, of those that may be used. */
  findAlike(wanted: PageTokens, isThere: (page: number) => boolean): LikePage | undefined;
  /** Keys that moves under way are about to publish; the list itself neither adds nor removes any. */
  readonly awaited: KeyCounts;
}

/** Keys that were added more often than deleted. */
export interface KeyCounts {
  has(key: PageKey): boolean;
  add(key: PageKey): void;
  delete(key: PageKey): void;
}

/** Whether a move under way is about to publish a page under any of the keys. */
export function isAwaited({ awaited }: Pick<PageList, 'awaited'>, keys: readonly PageKey[]): boolean {
  return keys.some((key) => awaited.has(key));
}

function createKeyCounts(): KeyCounts {
  const counts = new Map<PageKey, number>();
  return {
    has: (key) => counts.has(key),
    add: (key) => void counts.set(key, (counts.get(key) ?? 0) + 1),
    delete(key) {
      const left = (counts.get(key) ?? 0) - 1;
      if (left > 0) counts.set(key, left);
      else counts.delete(key);
    },
  };
}

/**
 * Of pages that hold nothing of use the last given are taken first, in the order they had in their sequence, so that a
 * sequence's pages stay in runs that a copy can move at once; then those that were never taken and the published ones.
 * Costs memory for the most pages ever taken alone: a host tier of a terabyte has hundreds of millions of pages of a
 * small model.
 *
 * @param spare which are taken first: pages that were never taken, where their memory is there anyway, or published
 *   ones, so that no more memory is used than is wanted at a time
 * @param alike finds pages by their first tokens
 */
export function createPageList(
  total: number,
  spare: 'fresh' | 'published' = 'fresh',
  alike: AlikeIndex = createAlikeIndex(1),
): PageList {
  /** Of the pages below `fresh`; nobody ever took the others. */
  const holders: number[] = [];
  const given: number[] = [];
  /** Free pages that can be found, in the order they were given. */
  const cached = new Set<number>();
  const keys = new Map<number, PageKey>();
  const index = new Map<PageKey, number>();
  let fresh = 0;
  let most = 0;
  let changes = 0;
  const free = (): number => given.length + cached.size + total - fresh;
  const unlist = (page: number): void => {
    const key = keys.get(page);
    if (key === undefined) return;
    keys.delete(page);
    index.delete(key);
    changes++;
    alike.remove(page);
  };
  /**
   * Goes on where it stopped: a loop from the start would step over all that was taken out before. What it has passed is
   * out, and what comes in is behind it.
   */
  let oldest = cached.values();
  const nextOldest = (): number => {
    let next = oldest.next();
    if (next.done) {
      oldest = cached.values();
      next = oldest.next();
    }
    return next.value!;
  };
  /** At most `count` of the pages that have been free for longest, the end of a sequence before its beginning. */
  const evict = (count: number): number[] => {
    const pages: number[] = [];
    while (pages.length < count && cached.size > 0) {
      const page = nextOldest();
      cached.delete(page);
      unlist(page);
      pages.push(page);
    }
    return pages.reverse();
  };
  return {
    total,
    free,
    most: () => most,
    take(count) {
      if (count > free()) return undefined;
      most = Math.max(most, total - free() + count);
      const reused = Math.min(count, given.length);
      const pages = given.splice(given.length - reused, reused).reverse();
      if (spare === 'published') pages.push(...evict(count - pages.length));
      while (pages.length < count && fresh < total) pages.push(fresh++);
      pages.push(...evict(count - pages.length));
      for (const page of pages) holders[page] = 1;
      return pages;
    },
    give(pages) {
      for (let i = pages.length - 1; i >= 0; i--) {
        const page = pages[i]!;
        const held = holders[page] ?? 0;
        if (held === 0) throw new Error(`page ${page} given back but not taken`);
        holders[page] = held - 1;
        if (held > 1) continue;
        if (keys.has(page)) cached.add(page);
        else given.push(page);
      }
    },
    holders: (page) => holders[page] ?? 0,
    share(pages) {
      for (const page of pages) {
        if (!keys.has(page) && (holders[page] ?? 0) === 0)
          throw new Error(`page ${page} shared but not published`);
        cached.delete(page);
        holders[page]!++;
      }
      most = Math.max(most, total - free());
    },
    publish(page, key, held) {
      if (index.has(key)) return;
      if ((holders[page] ?? 0) === 0) throw new Error(`page ${page} published but not taken`);
      unlist(page);
      keys.set(page, key);
      index.set(key, page);
      changes++;
      if (held !== undefined) alike.add(page, held);
    },
    withdraw(page) {
      unlist(page);
      if (cached.delete(page)) given.push(page);
    },
    find: (key) => index.get(key),
    changes: () => changes,
    findAlike: alike.find,
    awaited: createKeyCounts(),
  };
}

/**
 * Part of a list: at most `limit` pages of it are taken through here at a time.
 *
 * @param name tells what is published here from what is published through other parts, or in the list itself: the same
 *   page means something else there
 */
export function createPageShare(list: PageList, limit: number, name: string): PageList {
  let held = 0;
  let most = 0;
  const free = (): number => Math.min(list.free(), limit - held);
  const own = (key: PageKey): PageKey => `${name} ${key}`;
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
      held -= pages.filter((page) => list.holders(page) === 0).length;
    },
    holders: list.holders,
    share(pages) {
      held += pages.filter((page) => list.holders(page) === 0).length;
      most = Math.max(most, held);
      list.share(pages);
    },
    publish: (page, key, held) => list.publish(page, own(key), held && { ...held, after: own(held.after) }),
    withdraw: list.withdraw,
    find: (key) => list.find(own(key)),
    changes: list.changes,
    findAlike: ({ after, tokens }, isThere) => list.findAlike({ after: own(after), tokens }, isThere),
    awaited: createKeyCounts(),
  };
}
