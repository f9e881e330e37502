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
import { firstPageSeen } from '../../compiler/model/kv-window.js';
import type { LoadSource } from './costs.js';
import type { Lane, Machine, PoolReplica } from './machine.js';
import { heldPages, NO_PAGE, positionsFrom } from './page-table.js';
import type { PageTable } from './page-table.js';
import type { PageKey, PageList } from './pages.js';
import { knownTokens } from './sequences.js';
import type { Sequence } from './sequences.js';
import { pagesEnd } from './windows.js';

/** Pages of a list that hold neighbouring parts of a sequence. */
export interface PageRun {
  /** Position of the first. */
  readonly first: number;
  readonly pages: readonly number[];
}

/**
 * What was last found on the devices of a lane, and of what: the head of a queue that has no room asks every lane at every
 * event, of which most change nothing on most lanes.
 */
export interface LastPrefix {
  readonly sequence: Sequence;
  readonly most: number;
  readonly ownKv: boolean;
  readonly changes: number;
  readonly fillings: number;
  readonly prefix: PageRun;
}

const NO_RUN: PageRun = { first: 0, pages: [] };

/** The position behind the last. */
export function runEnd({ first, pages }: PageRun): number {
  return first + pages.length;
}

/**
 * The longest beginning of a sequence in whole pages behind which it can go on with what a list holds: the pages that a row
 * behind it sees. Without a window these are all from the first one on.
 *
 * @param most at most so many pages long
 * @param isThere whether a published page may be used
 */
export function findPrefix(
  { config }: Machine,
  { keys }: Sequence,
  list: PageList,
  most: number,
  isThere: (page: number) => boolean = () => true,
): PageRun {
  const pageAt = (position: number): number | undefined => {
    const page = list.find(keys[position]!);
    return page === undefined || !isThere(page) ? undefined : page;
  };
  let end = Math.min(most, keys.length);
  if (end === 0) return NO_RUN;
  for (;;) {
    const first = firstPageSeen(config, end * config.pageTokens);
    if (first === 0) break;
    const pages: number[] = [];
    for (let at = end - 1; at >= first; at--) {
      const page = pageAt(at);
      if (page === undefined) break;
      pages.push(page);
    }
    if (first < end && pages.length === end - first) return { first, pages: pages.reverse() };
    end -= pages.length + 1;
  }
  const pages: number[] = [];
  while (pages.length < end) {
    const page = pageAt(pages.length);
    if (page === undefined) break;
    pages.push(page);
  }
  return { first: 0, pages };
}

/**
 * For each position the page of a list that holds that part of a sequence, from the first on as long as there is one that
 * may be used.
 */
export function findPages(
  { keys }: Sequence,
  list: Pick<PageList, 'find'>,
  positions: readonly number[],
  isThere: (page: number) => boolean = () => true,
): PageTable {
  const found = Array<number>(positions.length).fill(NO_PAGE);
  for (const [i, position] of positions.entries()) {
    const page = position < keys.length ? list.find(keys[position]!) : undefined;
    if (page === undefined || !isThere(page)) break;
    found[i] = page;
  }
  return found;
}

/** As `findPages`, of the pages on the devices that are filled. */
export function findFilled(
  sequence: Sequence,
  { pages, writing }: PoolReplica,
  positions: readonly number[],
): PageTable {
  return findPages(sequence, pages, positions, (page) => !writing.has(page));
}

/** Free pages of the list that are used up when those found are shared and the others are taken. */
export function claimCost(list: PageList, found: PageTable): number {
  let cost = 0;
  for (const page of found) if (page === NO_PAGE || list.holders(page) === 0) cost++;
  return cost;
}

/** Shares the pages that were found and takes new ones for the others; undefined, and nothing, with too few free. */
export function claimPages(list: PageList, found: PageTable): readonly number[] | undefined {
  if (claimCost(list, found) > list.free()) return undefined;
  const shared = heldPages(found);
  // Before others are taken, as those might be these.
  list.share(shared);
  const taken = list.take(found.length - shared.length)!;
  let next = 0;
  return found.map((page) => (page === NO_PAGE ? taken[next++]! : page));
}

/** Positions of the pages that hold what a sequence has computed and its next row sees. */
export function storedPositions({ config }: Machine, { computed }: Sequence): number[] {
  return positionsFrom(firstPageSeen(config, computed), Math.ceil(computed / config.pageTokens));
}

/** Neighbouring positions: from `first` on, up to `end`. */
export interface Span {
  readonly first: number;
  readonly end: number;
}

/** Positions of the pages that a sequence in decode needs for its next row. */
export function decodeSpan({ config }: Machine, sequence: Sequence): Span {
  const end = Math.ceil(knownTokens(sequence) / config.pageTokens);
  return { first: firstPageSeen(config, sequence.computed), end };
}

/** Free pages of a list that a part of a sequence uses up: `claimCost` of what `findPages` finds of it. */
export function spanCost(
  { keys }: Sequence,
  list: Pick<PageList, 'find' | 'holders'>,
  { first, end }: Span,
  isThere: (page: number) => boolean = () => true,
): number {
  let cost = Math.max(0, end - first);
  for (let position = first; position < Math.min(end, keys.length); position++) {
    const page = list.find(keys[position]!);
    if (page === undefined || !isThere(page)) break;
    if (list.holders(page) > 0) cost--;
  }
  return cost;
}

/** Free pages of a pool that a sequence uses up when it comes to decode there. */
export function poolCost(machine: Machine, sequence: Sequence, { pages, writing }: PoolReplica): number {
  return spanCost(sequence, pages, decodeSpan(machine, sequence), (page) => !writing.has(page));
}

/** Lets others find those pages of a sequence in a tier among the first `tokens` tokens that are full. */
export function publishPages(
  { config }: Machine,
  { keys }: Sequence,
  list: PageList,
  pages: PageTable,
  tokens: number,
): void {
  const full = Math.min(keys.length, pages.length, Math.floor(tokens / config.pageTokens));
  for (let position = 0; position < full; position++)
    if (pages[position] !== NO_PAGE) list.publish(pages[position]!, keys[position]!);
}

/** Lets others claim the pages that a sequence holds to be handed over, as far as they will be the same. */
export function promisePages(
  { host }: Machine,
  { keys, hostPages }: Sequence,
  positions: readonly number[],
): void {
  for (const position of positions)
    if (position < keys.length) host.promise(hostPages[position]!, keys[position]!);
}

/** Keys of the pages of a sequence at these positions, as far as they have any. */
export function keysAt({ keys }: Sequence, positions: readonly number[]): string[] {
  return positions.filter((position) => position < keys.length).map((position) => keys[position]!);
}

/** The same of those whose tokens are all computed, which alone are published. */
export function fullKeysAt(
  { config }: Machine,
  sequence: Sequence,
  positions: readonly number[],
): readonly PageKey[] {
  const full = Math.floor(sequence.computed / config.pageTokens);
  return keysAt(
    sequence,
    positions.filter((position) => position < full),
  );
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
 * Pages of the beginning of a waiting sequence that are on the lane's devices. With KV of its own in a tier it is not to depend
 * on what is only about to be computed.
 */
export function devicePrefix(machine: Machine, lane: Lane, sequence: Sequence): PageRun {
  const { pages, writing, fillings } = lane.pool;
  const most = mostShared(machine, sequence);
  const ownKv = sequence.computed > 0;
  const changes = pages.changes();
  const last = lane.lastPrefix;
  const isSame = last?.sequence === sequence && last.most === most && last.ownKv === ownKv;
  if (isSame && last.changes === changes && last.fillings === fillings) return last.prefix;
  const prefix = findPrefix(machine, sequence, pages, most, (page) =>
    ownKv ? !writing.has(page) : isFilledFor(lane, page),
  );
  lane.lastPrefix = { sequence, most, ownKv, changes, fillings, prefix };
  return prefix;
}

/** Pages at the start of a prompt that a tier holds, of those that may be shared. */
export function tierPrefix(machine: Machine, sequence: Sequence, tier: LoadSource): PageRun {
  return findPrefix(machine, sequence, machine[tier], mostShared(machine, sequence));
}

/**
 * Moves a sequence in prefill past pages that others have filled meanwhile. Those that its next row sees take the place of
 * its own, and it gives up the others.
 */
export function skipFilled(machine: Machine, lane: Lane, sequence: Sequence): void {
  const { pageTokens } = machine.config;
  const { pages } = lane.pool;
  const isIdle = sequence.stepsInFlight === 0;
  // A page that a step under way writes to is not given back.
  if (!isIdle && sequence.scheduled % pageTokens > 0) return;
  const first = Math.floor(sequence.scheduled / pageTokens);
  const shared = mostShared(machine, sequence);
  // What steps under way see stays, and it holds no more than its share beside that.
  const most = isIdle
    ? shared
    : Math.min(shared, pagesEnd(machine, lane, sequence.computed, sequence.target));
  const found: number[] = [];
  for (let at = first; at < most; at++) {
    const page = pages.find(sequence.keys[at]!);
    if (page === undefined || !isFilledFor(lane, page)) break;
    found.push(page);
  }
  if (found.length === 0) return;
  sequence.scheduled = (first + found.length) * pageTokens;
  // It may have no page for its next row yet, and the lane no prompt tokens left but for these.
  machine.changes++;
  const seen = isIdle ? firstPageSeen(machine.config, sequence.scheduled) : 0;
  const table = [...sequence.pages];
  for (let at = 0; at < first + found.length; at++) {
    const own = table[at] ?? NO_PAGE;
    const page = at < seen ? NO_PAGE : at < first ? own : found[at - first]!;
    if (page === own) continue;
    if (page !== NO_PAGE) pages.share([page]);
    if (own !== NO_PAGE) pages.give([own]);
    table[at] = page;
  }
  sequence.pages = table;
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
  for (let position = 0; position < full; position++)
    if (sequence.pages[position] !== NO_PAGE) publishOnDevice(machine, sequence, pool, position);
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
    lane.pool.fillings++;
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
  pool.fillings++;
  for (const position of filledBy(machine, sequence, start, end))
    pool.writing.delete(sequence.pages[position]!);
}
