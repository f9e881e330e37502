/**
 * Prefix reuse: pages that hold the first tokens of a prompt are computed, kept and moved once for all sequences that
 * begin with these tokens.
 *
 * Every full page of a prompt has a key (see pages.ts). Full pages alone are shared, and nobody writes to a full page, so
 * the page a sequence goes on writing is always its own: what it shares of an unfinished page it computes again.
 * At least the last token of a prompt is computed, as its logits are wanted.
 *
 * Steps of a lane are carried out in order, and a step writes the keys and values of all its rows before it reads any. So
 * a page counts as there for the sequences of a lane from the moment on at which the lane is given the step that fills
 * it, and prompts with the same beginning that are let in together go through it once: the first computes it, the others
 * start behind it, in the same step if they fit. Others find the page when the step is done.
 */
import { pagesFor } from './machine.js';
import type { Lane, Machine, PoolReplica } from './machine.js';
import type { PageList } from './pages.js';
import { knownTokens } from './sequences.js';
import type { Sequence } from './sequences.js';

/** Pages of a list that hold the pages of a sequence, by position; undefined where the list does not hold them. */
export type FoundPages = readonly (number | undefined)[];

/** The first `count` pages of a sequence, as far as the list has published them. */
export function findPages({ keys }: Sequence, list: PageList, count: number): FoundPages {
  return Array.from({ length: count }, (_, position) =>
    position < keys.length ? list.find(keys[position]!) : undefined,
  );
}

/** The pages of a sequence that are on the devices of a pool, and filled. */
export function findFilled(
  machine: Machine,
  sequence: Sequence,
  { pages, writing }: PoolReplica,
): FoundPages {
  return findPages(sequence, pages, pagesFor(machine, knownTokens(sequence))).map((page) =>
    page !== undefined && writing.has(page) ? undefined : page,
  );
}

/** Free pages of the list that a sequence uses up by claiming what was found, and taking what was not. */
export function claimCost(list: PageList, found: FoundPages): number {
  return found.reduce<number>(
    (sum, page) => sum + (page === undefined || list.holders(page) === 0 ? 1 : 0),
    0,
  );
}

/** Free pages of a pool that a sequence uses up when it comes to lie there. */
export function poolCost(machine: Machine, sequence: Sequence, pool: PoolReplica): number {
  // Without keys there is nothing to be found, as in a simulation of lengths alone.
  if (sequence.keys.length === 0) return pagesFor(machine, knownTokens(sequence));
  return claimCost(pool.pages, findFilled(machine, sequence, pool));
}

/** Shares the pages that were found and takes new ones for the others; undefined, and nothing, with too few free. */
export function claimPages(list: PageList, found: FoundPages): number[] | undefined {
  if (claimCost(list, found) > list.free()) return undefined;
  // Before others are taken, as those might be these.
  list.share(found.filter((page) => page !== undefined));
  const taken = list.take(found.filter((page) => page === undefined).length)!;
  let next = 0;
  return found.map((page) => page ?? taken[next++]!);
}

/** Positions of the pages that were not found. */
export function missingPositions(found: FoundPages): number[] {
  return [...found.keys()].filter((position) => found[position] === undefined);
}

/** The pages of a sequence at these positions. */
export function pagesAt(pages: readonly number[], positions: readonly number[]): number[] {
  return positions.map((position) => pages[position]!);
}

/** Lets others find those pages of a sequence among the first `tokens` tokens that are full. */
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
function isFilledFor(lane: Lane, page: number): boolean {
  const writer = lane.pool.writing.get(page);
  return writer === undefined || writer === lane;
}

/** Pages at the start of a prompt that may be shared: its last token is computed in any case. */
function mostShared(machine: Machine, sequence: Sequence): number {
  const tokens = knownTokens(sequence) - 1;
  return Math.min(sequence.keys.length, Math.floor(tokens / machine.config.pageTokens));
}

/**
 * The pages of a waiting sequence on the lane's devices: as many as are found from the first one on, the others are to be
 * taken. With KV of its own in a tier it is not to depend on what is only about to be computed.
 */
export function devicePrefix(machine: Machine, lane: Lane, sequence: Sequence): FoundPages {
  const found = new Array<number | undefined>(pagesFor(machine, knownTokens(sequence))).fill(undefined);
  const most = mostShared(machine, sequence);
  for (let position = 0; position < most; position++) {
    const page = lane.pool.pages.find(sequence.keys[position]!);
    if (page === undefined || !isFilledFor(lane, page)) break;
    if (sequence.computed > 0 && lane.pool.writing.has(page)) break;
    found[position] = page;
  }
  return found;
}

/** How many pages at the start of a prompt the host tier holds, of those that may be shared. */
export function hostPrefix(machine: Machine, sequence: Sequence): number {
  return prefixLength([...findPages(sequence, machine.host, mostShared(machine, sequence)), undefined]);
}

/** How many of the pages at the start of a sequence were found. */
export function prefixLength(found: FoundPages): number {
  const end = found.indexOf(undefined);
  return end < 0 ? found.length : end;
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
      sequence.pages[at] = page;
    }
    sequence.scheduled = (at + 1) * pageTokens;
  }
}

/** Counts what rows from `start` to `end` of a prompt need not be preceded by: a second prefill counts no token again. */
function countReused(machine: Machine, sequence: Sequence, start: number, end: number): void {
  const found = Math.max(0, start - sequence.reached);
  const loaded = Math.min(found, sequence.loaded);
  machine.reused.host += loaded;
  machine.reused.device += found - loaded;
  sequence.loaded = 0;
  sequence.reached = Math.max(sequence.reached, end);
}

/** Pages that rows from `start` to `end` fill up. */
function filledBy({ config }: Machine, { keys }: Sequence, start: number, end: number): number[] {
  const first = Math.floor(start / config.pageTokens);
  const full = Math.min(keys.length, Math.floor(end / config.pageTokens));
  return Array.from({ length: Math.max(0, full - first) }, (_, i) => first + i);
}

/** The lane is given rows of a prompt: from now on its sequences may share the pages that these fill. */
export function beginFilling(
  machine: Machine,
  lane: Lane,
  sequence: Sequence,
  start: number,
  end: number,
): void {
  countReused(machine, sequence, start, end);
  const { pages, writing } = lane.pool;
  for (const position of filledBy(machine, sequence, start, end)) {
    const [page, key] = [sequence.pages[position]!, sequence.keys[position]!];
    pages.publish(page, key);
    if (pages.find(key) === page) writing.set(page, lane);
  }
}

/** The rows are done: everybody may share the pages. */
export function finishFilling(
  machine: Machine,
  pool: PoolReplica,
  sequence: Sequence,
  start: number,
  end: number,
): void {
  for (const position of filledBy(machine, sequence, start, end))
    pool.writing.delete(sequence.pages[position]!);
}
