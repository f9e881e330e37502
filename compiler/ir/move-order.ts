/**
 * The order of a transition's weight moves on one device. The new residence is written over the old one, so a weight
 * may be written only when nobody still has to read what lies there.
 *
 * State: the weights still to be written, each with the ranges it reads. Step: write the first weight whose place no
 * other waiting weight reads. When every waiting weight is in somebody's way, the readers of the first one's place
 * set their sources aside ("stash"), which frees it. A weight whose copies land on what it
 * reads sets that aside as well.
 * Each step writes or stashes one weight: at most two per weight.
 *
 * Example: old `A B`, new `b a` (halves of B and A): both are in the other's way; `a` stashes its part of A, then `b`
 * is written over A, then `a` from the stash.
 */
import { overlaps } from './weight-arena.js';
import type { Spot } from './weight-arena.js';

/** One weight of the new residence. */
export interface WeightJob<T> {
  readonly target: Spot;
  /** Old places it copies from, and the places in its target they go to. */
  readonly reads: readonly Spot[];
  readonly copied: readonly Spot[];
  readonly what: T;
}

export interface OrderedMove<T> {
  readonly kind: 'stash' | 'write';
  readonly job: WeightJob<T>;
}

/** Moves in an order in which no write destroys what a later move reads. */
export function orderMoves<T>(jobs: readonly WeightJob<T>[]): OrderedMove<T>[] {
  const order: OrderedMove<T>[] = [];
  const waiting = new Set(jobs);
  const stashed = new Set<WeightJob<T>>();
  const readers = (target: WeightJob<T>): WeightJob<T>[] =>
    [...waiting].filter(
      (job) => job !== target && !stashed.has(job) && job.reads.some((read) => overlaps(read, target.target)),
    );
  while (waiting.size > 0) {
    const free = [...waiting].find((job) => readers(job).length === 0);
    if (free === undefined) {
      const [first] = waiting;
      for (const job of readers(first!)) {
        stashed.add(job);
        order.push({ kind: 'stash', job });
      }
    } else {
      waiting.delete(free);
      if (!stashed.has(free) && free.reads.some((read) => free.copied.some((to) => overlaps(read, to)))) {
        order.push({ kind: 'stash', job: free });
      }
      order.push({ kind: 'write', job: free });
    }
  }
  return order;
}
