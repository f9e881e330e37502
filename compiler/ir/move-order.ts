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
import { firstAbove } from '../first-above.js';
import { groupBy } from '../group-by.js';
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

/** Moves in an order in which no write destroys what a later move reads. Targets do not overlap. */
export function orderMoves<T>(jobs: readonly WeightJob<T>[]): OrderedMove<T>[] {
  // Where nothing is read, nobody is in anybody's way.
  if (jobs.every(({ reads }) => reads.length === 0)) return jobs.map((job) => ({ kind: 'write', job }));
  const order: OrderedMove<T>[] = [];
  const waiting = new Set(jobs);
  const stashed = new Set<WeightJob<T>>();
  const { readersOf, inWayOf } = conflicts(jobs);
  /** How many waiting weights still read what lies in the place of each. */
  const readers = new Map(jobs.map((job) => [job, readersOf.get(job)!.length]));
  const leaveWay = (job: WeightJob<T>): void => {
    for (const target of inWayOf.get(job)!) readers.set(target, readers.get(target)! - 1);
  };
  while (waiting.size > 0) {
    const free = first(waiting, (job) => readers.get(job) === 0);
    if (free === undefined) {
      const [oldest] = waiting;
      for (const job of readersOf.get(oldest!)!) {
        if (stashed.has(job) || !waiting.has(job)) continue;
        stashed.add(job);
        leaveWay(job);
        order.push({ kind: 'stash', job });
      }
    } else {
      waiting.delete(free);
      const isStashed = stashed.has(free);
      if (!isStashed) leaveWay(free);
      if (!isStashed && free.reads.some((read) => free.copied.some((to) => overlaps(read, to)))) {
        order.push({ kind: 'stash', job: free });
      }
      order.push({ kind: 'write', job: free });
    }
  }
  return order;
}

function first<T>(items: Iterable<T>, holds: (item: T) => boolean): T | undefined {
  for (const item of items) if (holds(item)) return item;
  return undefined;
}

interface Conflicts<T> {
  /** Other weights that read what lies in the place of each, in the order of the jobs. */
  readonly readersOf: ReadonlyMap<WeightJob<T>, readonly WeightJob<T>[]>;
  /** Other weights in whose places each reads. */
  readonly inWayOf: ReadonlyMap<WeightJob<T>, readonly WeightJob<T>[]>;
}

function conflicts<T>(jobs: readonly WeightJob<T>[]): Conflicts<T> {
  const byOffset = [...jobs].sort((a, b) => a.target.offset - b.target.offset);
  const places = new Map(
    [...groupBy(byOffset, ({ target }) => target.buffer)].map(([buffer, inside]) => {
      const ends = Float64Array.from(inside, ({ target }) => target.offset + target.bytes);
      return [buffer, { inside, ends }] as const;
    }),
  );
  const readersOf = new Map(jobs.map((job): [WeightJob<T>, WeightJob<T>[]] => [job, []]));
  const inWayOf = new Map<WeightJob<T>, WeightJob<T>[]>();
  for (const job of jobs) {
    const met = new Set<WeightJob<T>>();
    for (const read of job.reads) {
      const there = places.get(read.buffer);
      if (there === undefined) continue;
      const { inside, ends } = there;
      for (let at = firstAbove(ends, read.offset); at < inside.length; at++) {
        const other = inside[at]!;
        if (other.target.offset >= read.offset + read.bytes) break;
        if (other !== job && overlaps(read, other.target)) met.add(other);
      }
    }
    inWayOf.set(job, [...met]);
    for (const target of met) readersOf.get(target)!.push(job);
  }
  return { readersOf, inWayOf };
}
