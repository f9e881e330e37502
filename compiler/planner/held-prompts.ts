/**
 * The most sequences that a number of KV pages can hold: those with the shortest prompts. Where lengths are drawn at
 * random the shortest prompt by itself says next to nothing of that.
 *
 *     prompts of 1, 2 and 9 pages: 3 pages hold two sequences, and so do 11
 */
import { firstAbove } from '../first-above.js';
import { leastPages, type KvView } from '../model/kv-window.js';

/**
 * Prompts grouped by how many KV pages they need, ascending. `count[i]` and `total[i]` are cumulative: prompts with at
 * most `pages[i]` pages, and their pages.
 */
export interface HeldPrompts {
  /** KV pages of one prompt of the group. */
  readonly pages: readonly number[];
  /** Prompts of this group and of those before it. */
  readonly count: readonly number[];
  /** KV pages of all these prompts. */
  readonly total: readonly number[];
}

/**
 * Groups prompts by the KV pages that they need.
 *
 * @param tokens of each prompt those that no other request may have computed
 */
export function heldPrompts(tokens: readonly number[], kv: KvView): HeldPrompts {
  const counts = new Map<number, number>();
  for (const each of tokens) {
    const pages = Math.max(1, leastPages(kv, each));
    counts.set(pages, (counts.get(pages) ?? 0) + 1);
  }
  const kinds = [...counts].sort(([a], [b]) => a - b);
  let [prompts, sum] = [0, 0];
  const count = kinds.map(([, each]) => (prompts += each));
  const total = kinds.map(([pages, each]) => (sum += pages * each));
  return { pages: kinds.map(([pages]) => pages), count, total };
}

/** The most sequences that `room` KV pages hold. */
export function mostHeld({ pages, count, total }: HeldPrompts, room: number): number {
  // The first kind of which not all have room.
  const kind = firstAbove(total, room);
  const [before, taken] = kind === 0 ? [0, 0] : [count[kind - 1]!, total[kind - 1]!];
  return kind === total.length ? before : before + Math.floor((room - taken) / pages[kind]!);
}
