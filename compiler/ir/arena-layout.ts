/**
 * Addresses for the weights of all residences of a device, in one space that is cut into chunks; no weight crosses a cut.
 *
 * State: what is taken of the space by the weights of the residence at hand, in order, neighbours joined. Step, per
 * residence: what earlier ones keep goes where it is; weights of which a run of bytes is copied go around that run, where
 * that is asked for and nothing else is there; each of the others takes the smallest hole that has room for it, those
 * first that a transition keeps.
 */
import { firstAbove } from '../first-above.js';
import { groupBy } from '../group-by.js';
import { roundUp } from './device-layout.js';
import { hasPadding } from './in-place.js';
import type { DeviceMoves, WeightCopy } from './runtime-graph.js';
import type { Residence, TransitionsByResidence } from './weight-arena.js';

/** Every device can bind a buffer from a multiple of this on: WebGPU allows none to ask for more. */
export const ALIGNMENT = 256;

/** A residence as far as its layout depends on it. Weights are numbers here, in the order of the residence. */
export interface Tenant {
  /** Of every weight. */
  readonly bytes: Float64Array;
  /** Weights that a transition from here keeps, then the others: in their order, and the largest first. */
  readonly inOrder: readonly number[];
  readonly largestFirst: readonly number[];
  /** What residences before this one leave in their places. */
  readonly stays: readonly Stay[];
}

interface Stay {
  /** Number of the earlier residence. */
  readonly from: number;
  readonly keep: readonly { readonly weight: number; readonly old: number }[];
  /** Where weights lie around the longest run of bytes that is copied into them: so far behind the start of an old one. */
  readonly runs: readonly { readonly weight: number; readonly old: number; readonly behind: number }[];
}

export interface LayoutOptions {
  readonly chunk: number;
  /** Lays weights around what transitions would copy, where that is one run of bytes. */
  readonly inPlace: boolean;
  /** Large weights before small ones, which leaves smaller holes; else in the order in which they are needed. */
  readonly largestFirst: boolean;
}

/** Addresses by residence and weight. */
export type Layout = readonly Float64Array[];

/** Looks once at what all layouts of some residences have in common. */
export function tenantsOf(
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
): readonly Tenant[] {
  const numbers = residences.map(({ weights }) => new Map(weights.map(({ id }, index) => [id, index])));
  return residences.map(({ name, weights }, index): Tenant => {
    const kept = new Set<string>();
    for (const [pair, moves] of transitions)
      if (pair.startsWith(`${name}->`)) for (const { old } of moves.keep) kept.add(old);
    const isKept = weights.map(({ id }) => kept.has(id));
    const all = [...weights.keys()];
    const bytes = Float64Array.from(weights, (weight) => weight.bytes);
    const keptFirst = (order: readonly number[]): readonly number[] => [
      ...order.filter((weight) => isKept[weight]),
      ...order.filter((weight) => !isKept[weight]),
    ];
    return {
      bytes,
      inOrder: keptFirst(all),
      largestFirst: keptFirst([...all].sort((a, b) => bytes[b]! - bytes[a]! || a - b)),
      stays: residences.slice(0, index).flatMap((earlier, from) => {
        const moves = transitions.get(`${earlier.name}->${name}`);
        return moves === undefined ? [] : [stayOf(moves, from, numbers[from]!, weights, numbers[index]!)];
      }),
    };
  });
}

function stayOf(
  { keep, copy }: DeviceMoves,
  from: number,
  olds: ReadonlyMap<string, number>,
  weights: Residence['weights'],
  numbers: ReadonlyMap<string, number>,
): Stay {
  const runs = [...groupBy(copy, ({ weight }) => weight)].flatMap(([id, copies]) => {
    const weight = numbers.get(id)!;
    const longest = longestRun(copies);
    if (longest === undefined || hasPadding(weights[weight]!)) return [];
    return [{ weight, old: olds.get(longest.old)!, behind: longest.oldAt - longest.at }];
  });
  return {
    from,
    keep: keep.map(({ weight, old }) => ({ weight: numbers.get(weight)!, old: olds.get(old)! })),
    runs: runs.sort((a, b) => a.weight - b.weight),
  };
}

/** The longest run of bytes that copies take from one place to another, however they are cut. */
function longestRun(copies: readonly WeightCopy[]): WeightCopy | undefined {
  const [only] = copies;
  if (copies.length === 1) return only!.rows === 1 ? only : undefined;
  const runs: WeightCopy[] = [];
  for (const copy of copies.filter(({ rows }) => rows === 1).sort((a, b) => a.at - b.at)) {
    const last = runs.at(-1);
    const goesOn =
      last?.old === copy.old &&
      last.at + last.runBytes === copy.at &&
      last.oldAt + last.runBytes === copy.oldAt;
    if (goesOn) runs[runs.length - 1] = { ...last, runBytes: last.runBytes + copy.runBytes };
    else runs.push(copy);
  }
  return runs.reduce<WeightCopy | undefined>(
    (longest, run) => (longest === undefined || run.runBytes > longest.runBytes ? run : longest),
    undefined,
  );
}

/** Lays all residences out. */
export function layOut(tenants: readonly Tenant[], { chunk, inPlace, largestFirst }: LayoutOptions): Layout {
  const layout: Float64Array[] = [];
  for (const tenant of tenants) {
    const { bytes, stays } = tenant;
    const starts = new Float64Array(bytes.length).fill(UNPLACED);
    const taken: Taken = { starts: [], ends: [] };
    const put = (weight: number, start: number): void => {
      starts[weight] = start;
      take(taken, start, start + bytes[weight]!);
    };
    for (const { from, keep } of stays)
      for (const { weight, old } of keep) {
        const start = layout[from]![old]!;
        if (starts[weight] === UNPLACED) put(weight, start);
        else if (starts[weight] !== start) throw new Error('a weight would have to stay in two places');
      }
    if (inPlace)
      for (const { from, runs } of stays)
        for (const { weight, old, behind } of runs) {
          const start = layout[from]![old]! + behind;
          const fits = start >= 0 && start % ALIGNMENT === 0 && isWithinChunk(start, bytes[weight]!, chunk);
          if (fits && starts[weight] === UNPLACED && isFree(taken, start, start + bytes[weight]!))
            put(weight, start);
        }
    for (const weight of largestFirst ? tenant.largestFirst : tenant.inOrder)
      if (starts[weight] === UNPLACED) put(weight, bestFree(bytes[weight]!, taken, chunk));
    layout.push(starts);
  }
  return layout;
}

const UNPLACED = -1;

/** Ranges of the space that lie apart, in order. */
interface Taken {
  readonly starts: number[];
  readonly ends: number[];
}

/**
 * Takes a free range. Neighbours between which no weight could begin become one: then few are left to look at.
 */
function take(taken: Taken, start: number, end: number): void {
  const { starts, ends } = taken;
  const place = firstAbove(taken.ends, start);
  const back = place > 0 && roundUp(ends[place - 1]!, ALIGNMENT) >= start;
  const on = place < starts.length && roundUp(end, ALIGNMENT) >= starts[place]!;
  if (back && on) {
    ends[place - 1] = ends[place]!;
    starts.splice(place, 1);
    ends.splice(place, 1);
  } else if (back) ends[place - 1] = end;
  else if (on) starts[place] = start;
  else {
    starts.splice(place, 0, start);
    ends.splice(place, 0, end);
  }
}

function isFree(taken: Taken, start: number, end: number): boolean {
  const next = firstAbove(taken.ends, start);
  return next === taken.starts.length || taken.starts[next]! >= end;
}

/**
 * Address of the smallest hole between taken ranges that has room for so many bytes; else behind them. Aligned and
 * within a chunk.
 */
function bestFree(bytes: number, { starts, ends }: Taken, chunk: number): number {
  let best = 0;
  let least = Infinity;
  let hole = 0;
  for (let i = 0; i <= starts.length; i++) {
    const end = i < starts.length ? starts[i]! : Infinity;
    // Most holes are far too small, which is seen before anything is rounded.
    if (end - hole >= bytes) {
      let start = roundUp(hole, ALIGNMENT);
      if (!isWithinChunk(start, bytes, chunk)) start = roundUp(start, chunk);
      const left = end - start - bytes;
      if (left >= 0 && (least === Infinity || left < least)) [best, least] = [start, left];
    }
    if (i < ends.length) hole = ends[i]!;
  }
  return best;
}

function isWithinChunk(start: number, bytes: number, chunk: number): boolean {
  return Math.floor(start / chunk) === Math.floor((start + bytes - 1) / chunk);
}
