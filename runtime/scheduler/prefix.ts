/**
 * Prefix reuse: pages that hold the first tokens of a prompt are computed, kept and moved once for all sequences that
 * begin with these tokens.
 *
 * Every full page of a prompt has a key (see pages.ts). Full pages alone are shared, and nobody writes to a full page, so
 * the page a sequence goes on writing is always its own; where that begins like another's, it begins as a copy of it (see
 * copies.ts). At least the last token of a prompt is computed, as its logits are wanted.
 *
 * Steps of a lane are carried out in order, and a step writes the keys and values of all its rows before it reads any. So
 * a page counts as there for the sequences of a lane from the moment on at which the lane is given the step that fills
 * it, and prompts with the same beginning that are let in together go through it once: the first computes it, the others
 * start behind it, in the same step if they fit. Others find the page when the step is done.
 */
import type { LoadSource } from './costs.js';
import { pagesFor } from './machine.js';
import type { Lane, Machine, PoolReplica } from './machine.js';
import type { PageList } from './pages.js';
import { knownTokens } from './sequences.js';
import type { Sequence } from './sequences.js';

/**
 * Pages of a list that hold the first pages of a sequence, as many as are found from the first one on.
 *
 * @param most at most so many
 * @param isThere whether a published page may be used
 */
export function findPages(
  { keys }: Sequence,
  list: PageList,
  most: number,
  isThere: (page: number) => boolean = () => true,
): readonly number[] {
  const found: number[] = [];
  const end = Math.min(most, keys.length);
  while (found.length < end) {
    const page = list.find(keys[found.length]!);
    if (page === undefined || !isThere(page)) break;
    found.push(page);
  }
  return found;
}

/** The first pages of a sequence that are on the devices of a pool, and filled. */
export function findFilled(sequence: Sequence, { pages, writing }: PoolReplica): readonly number[] {
  return findPages(sequence, pages, sequence.keys.length, (page) => !writing.has(page));
}

/** Free pages of the list that `count` pages use up, when those found are shared and the others are taken. */
export function claimCost(list: PageList, found: readonly number[], count: number): number {
  const free = found.filter((page) => list.holders(page) === 0);
  return free.length + count - found.length;
}

/** Free pages of a pool that a sequence uses up when it comes to lie there. */
export function poolCost(machine: Machine, sequence: Sequence, pool: PoolReplica): number {
  return claimCost(pool.pages, findFilled(sequence, pool), pagesFor(machine, knownTokens(sequence)));
}

/** Shares the pages that were found and takes new ones, to `count` in all; undefined, and nothing, with too few free. */
export function claimPages(list: PageList, found: readonly number[], count: number): number[] | undefined {
  if (claimCost(list, found, count) > list.free()) return undefined;
  // Before others are taken, as those might be these.
  list.share(found);
  return [...found, ...list.take(count - found.length)!];
}

/** Positions of pages from `first` on, up to `end`. */
export function positionsFrom(first: number, end: number): number[] {
  const positions: number[] = [];
  for (let position = first; position < end; position++) positions.push(position);
  return positions;
}

/** The pages of a sequence at these positions. */
export function pagesAt(pages: readonly number[], positions: readonly number[]): number[] {
  return positions.map((position) => pages[position]!);
}

/** Lets others find those pages of a sequence in a tier among the first `tokens` tokens that are full. */
export function publishPages(
  { config }: Machine,
  { keys }: Sequence,
  list: PageList,
  pages: readonly number[],
  tokens: number,
): void {
  const full = Math.min(keys.length, pages.length, Math.floor(tokens / config.pageTokens));
  for (let position = 0; position < full; position++) list.publish(pages[position]!, keys[position]!);
}

/** Keys of the pages of a sequence at these positions, as far as they have any. */
export function keysAt({ keys }: Sequence, positions: readonly number[]): string[] {
  return positions.filter((position) => position < keys.length).map((position) => keys[position]!);
}

/** Whether the page is filled already as far as the lane can tell: by a step that is done, or by an earlier one of its own. */
export function isFilledFor(lane: Lane, page: number): boolean {
  const writer = lane.pool.writing.get(page);
  return writer === undefined || writer === lane;
}

/** Pages at the start of a prompt that may be shared: its last token is computed in any case. */
function mostShared(machine: Machine, sequence: Sequence): number {
  const tokens = knownTokens(sequence) - 1;
  return Math.min(sequence.keys.length, Math.floor(tokens / machine.config.pageTokens));
}

/**
 * The first pages of a waiting sequence that are on the lane's devices. With KV of its own in a tier it is not to depend
 * on what is only about to be computed.
 */
export function devicePrefix(machine: Machine, lane: Lane, sequence: Sequence): readonly number[] {
  const { pages, writing } = lane.pool;
  return findPages(sequence, pages, mostShared(machine, sequence), (page) =>
    sequence.computed > 0 ? !writing.has(page) : isFilledFor(lane, page),
  );
}

/** Pages at the start of a prompt that a tier holds, of those that may be shared. */
export function tierPrefix(machine: Machine, sequence: Sequence, tier: LoadSource): readonly number[] {
  return findPages(sequence, machine[tier], mostShared(machine, sequence));
}

/** Moves a sequence in prefill past pages that others have filled meanwhile; they take the place of its own. */
export function skipFilled(machine: Machine, lane: Lane, sequence: Sequence): void {
  const { pageTokens } = machine.config;
  const { pages } = lane.pool;
  const most = mostShared(machine, sequence);
  // A page that a step under way writes to is not given back.
  if (sequence.stepsInFlight > 0 && sequence.scheduled % pageTokens > 0) return;
  for (let at = Math.floor(sequence.scheduled / pageTokens); at < most; at++) {
    const page = pages.find(sequence.keys[at]!);
    if (page === undefined || !isFilledFor(lane, page)) return;
    if (page !== sequence.pages[at]) {
      pages.share([page]);
      pages.give([sequence.pages[at]!]);
      sequence.pages = sequence.pages.with(at, page);
    }
    sequence.scheduled = (at + 1) * pageTokens;
  }
}

/** Counts what rows from `start` to `end` of a prompt need not be preceded by: a second prefill counts no token again. */
function countReused(machine: Machine, sequence: Sequence, start: number, end: number): void {
  let found = Math.max(0, start - sequence.reached);
  for (const tier of ['disk', 'host'] as const) {
    const loaded = Math.min(found, sequence.loaded[tier]);
    machine.reused[tier] += loaded;
    found -= loaded;
    sequence.loaded[tier] = 0;
  }
  machine.reused.device += found;
  sequence.reached = Math.max(sequence.reached, end);
}

/** Pages of a prompt that rows from `start` to `end` fill, up to the last token of it that others may have where that is in none of the full ones. */
function filledBy(
  { config: { pageTokens } }: Machine,
  { keys, promptIds }: Sequence,
  start: number,
  end: number,
): number[] {
  const full = Math.min(keys.length, Math.floor(end / pageTokens));
  const positions = positionsFrom(Math.floor(start / pageTokens), full);
  const shared = promptIds.length;
  if (start < shared && shared <= end && shared > keys.length * pageTokens) positions.push(keys.length);
  return positions;
}

/**
 * Lets others find a page on the devices, by its key where it is full and by its first tokens; false where they find
 * another.
 */
function publishOnDevice(
  { config: { pageTokens } }: Machine,
  { keys, promptIds, pages: own }: Sequence,
  { pages }: PoolReplica,
  position: number,
): boolean {
  const tokens = promptIds.slice(position * pageTokens, (position + 1) * pageTokens);
  const after = keys[position - 1] ?? '';
  // A page that is not full is never found by its key, which is there to tell that another holds the same.
  const key = keys[position] ?? `${after}|${tokens.join()}`;
  const page = own[position]!;
  pages.publish(page, key, { after, tokens });
  return pages.find(key) === page;
}

/** Lets others find those pages of a sequence on the devices among the first `tokens` tokens that are full. */
export function publishLoaded(machine: Machine, sequence: Sequence, pool: PoolReplica, tokens: number): void {
  const full = Math.min(sequence.keys.length, Math.floor(tokens / machine.config.pageTokens));
  for (let position = 0; position < full; position++) publishOnDevice(machine, sequence, pool, position);
}

/**
 * The lane is given rows of a prompt: from now on its sequences may share the pages that these fill. Returns the pages that
 * others find as theirs.
 */
export function beginFilling(
  machine: Machine,
  lane: Lane,
  sequence: Sequence,
  start: number,
  end: number,
): number[] {
  countReused(machine, sequence, start, end);
  const { writing } = lane.pool;
  const published: number[] = [];
  for (const position of filledBy(machine, sequence, start, end)) {
    if (!publishOnDevice(machine, sequence, lane.pool, position)) continue;
    const page = sequence.pages[position]!;
    writing.set(page, lane);
    published.push(page);
  }
  return published;
}

/** The rows are done: everybody may share the pages. */
export function finishFilling(
  machine: Machine,
  pool: PoolReplica,
  sequence: Sequence,
  start: number,
  end: number,
): void {
  if (pool.writing.size === 0) return;
  for (const position of filledBy(machine, sequence, start, end))
    pool.writing.delete(sequence.pages[position]!);
}
