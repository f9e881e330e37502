/**
 * Headroom: pages of a pool that stay free for the sequences that are in it. Filling the pool to the brim would only mean
 * to swap out again at once.
 *
 * Every look for something to let in asks, and pools are large. So what the sequences of a pool that decode need is a sum
 * that is kept up to date, at every change of one of them.
 *
 * Invariant. `decodeNeed` of a sequence that runs on a lane is what `needOf` says, of any other 0; that of a memory is the
 * sum over the sequences that run in its pools.
 */
import { firstPageSeen, pagesSpanned } from '../../compiler/model/kv-window.js';
import type { Lane, Machine, PageMemory, PoolReplica } from './machine.js';
import { knownTokens, mostTokens } from './sequences.js';
import type { Sequence } from './sequences.js';
import type { SchedulerConfig } from './types.js';
import { pagesToCome } from './windows.js';

/**
 * Whether so many pages are enough to leave free for the sequences that are in the pool: for those that decode, one for
 * each that lacks a page now and for a quarter of the others that may yet outgrow theirs; for those in prefill, what they
 * may take instead of pages that fell behind the window.
 */
export function leavesHeadroom(machine: Machine, { memory }: PoolReplica, pages: number): boolean {
  const left = pages - memory.decodeNeed / 4;
  return left >= 0 && (machine.config.window === undefined || left >= prefillNeed(machine, memory));
}

function prefillNeed(machine: Machine, { pools }: PageMemory): number {
  let need = 0;
  for (const { residents } of pools)
    for (const sequence of residents)
      if (sequence.state === 'prefill') need += pagesToCome(machine, sequence.lane!, sequence);
  return need;
}

/** What is to be left free for a sequence that decodes, in quarters of a page. */
function needOf({ config }: Machine, sequence: Sequence): number {
  const { length } = sequence.pages;
  const reached = length * config.pageTokens;
  if (reached < knownTokens(sequence)) return 4;
  const grows = reached < mostTokens(sequence) && length < mostPagesEnd(config, sequence);
  return grows ? 1 : 0;
}

/** Where the pages may end that a sequence in decode comes to hold before others fall behind the window. */
function mostPagesEnd(config: SchedulerConfig, { computed }: Sequence): number {
  if (config.window === undefined) return Infinity;
  return firstPageSeen(config, computed) + pagesSpanned(config, 1);
}

/** To be called when a sequence has begun to decode on a lane, and when its tokens or pages are others. */
export function countNeed(machine: Machine, { pool: { memory } }: Lane, sequence: Sequence): void {
  const need = needOf(machine, sequence);
  memory.decodeNeed += need - sequence.decodeNeed;
  sequence.decodeNeed = need;
}

/** The sequence is about to decode on the lane no more. */
export function dropNeed({ pool: { memory } }: Lane, sequence: Sequence): void {
  memory.decodeNeed -= sequence.decodeNeed;
  sequence.decodeNeed = 0;
}
