/**
 * How many sequences some KV pages hold at most: those with the shortest prompts. Where lengths are drawn at random the
 * shortest prompt by itself says next to nothing of that.
 *
 *     prompts of 1, 2 and 9 pages: 3 pages hold two sequences, and so do 11
 */
import { firstAbove } from '../first-above.js';
import { leastPages, type KvView } from '../model/kv-window.js';

/** Prompts by their pages, shortest first: of the first so many kinds of them together. */
export interface HeldPrompts {
  /** Pages of each prompt of a kind. */
  readonly pages: readonly number[];
  /** Prompts of it and of those before it, and their pages. */
  readonly count: readonly number[];
  readonly total: readonly number[];
}

/** @param tokens of each prompt, those that no other may have computed */
export function heldPrompts(tokens: readonly number[], kv: KvView): HeldPrompts {
  const counts = new Map<number, number>();
  for (const each of tokens) {
    const pages = Math.max(1, leastPages(kv, each));
    counts.set(pages, (counts.get(pages) ?? 0) + 1);
  }
  return summed([...counts].sort(([a], [b]) => a - b));
}

/** So many times as many prompts. */
export function repeatedPrompts({ pages, count }: HeldPrompts, times: number): HeldPrompts {
  return summed(pages.map((each, kind) => [each, times * (count[kind]! - (count[kind - 1] ?? 0))]));
}

function summed(kinds: readonly (readonly [pages: number, count: number])[]): HeldPrompts {
  let [prompts, sum] = [0, 0];
  const count = kinds.map(([, each]) => (prompts += each));
  const total = kinds.map(([pages, each]) => (sum += pages * each));
  return { pages: kinds.map(([pages]) => pages), count, total };
}

/** Sequences that so many pages hold at most. */
export function mostHeld({ pages, count, total }: HeldPrompts, room: number): number {
  // The first kind of which not all have room.
  const kind = firstAbove(total, room);
  const [before, taken] = kind === 0 ? [0, 0] : [count[kind - 1]!, total[kind - 1]!];
  return kind === total.length ? before : before + Math.floor((room - taken) / pages[kind]!);
}
