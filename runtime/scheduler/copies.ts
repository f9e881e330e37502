/**
 * Copy on write: a prompt that agrees with another's in the first tokens of a page, and not in all of it, goes on in a copy
 * of that page behind these tokens. So prompts that are the same, as those of the answers of one request are, cost one token
 * each but for the first, wherever they end.
 *
 * A copy is part of the step that computes what comes behind it, and made before it. Steps of a lane are carried out in
 * order, so a page that an earlier one fills may be copied; one that the same step fills may not, and the sequence waits for
 * the next. Until the step is done the page copied is held, so that nothing else comes to lie in it. Its owner may go on
 * writing behind the tokens that were published, which the copy does not count on.
 */
import type { LikePage } from './alike.js';
import type { Lane, Machine } from './machine.js';
import { isFilledFor } from './prefix.js';
import { knownTokens } from './sequences.js';
import type { Sequence } from './sequences.js';

/**
 * The page on the lane's devices that holds most of what a sequence has to compute next. None for one that has begun its
 * page already. The last known token is computed in any case.
 */
export function findAlike(machine: Machine, lane: Lane, sequence: Sequence): LikePage | undefined {
  const { pageTokens } = machine.config;
  const { keys, promptIds, scheduled } = sequence;
  const position = scheduled / pageTokens;
  if (!Number.isInteger(position) || position > keys.length) return undefined;
  // A whole page is shared, not copied.
  const end = Math.min(scheduled + pageTokens, knownTokens(sequence)) - 1;
  const tokens = promptIds.slice(scheduled, end);
  const after = keys[position - 1] ?? '';
  return lane.pool.pages.findAlike({ after, tokens }, (page) => isFilledFor(lane, page));
}

/** Moves a sequence in prefill behind the tokens that a copy of the page gives it; returns the page, held for its step. */
export function copyAlike(
  machine: Machine,
  lane: Lane,
  sequence: Sequence,
  { page, tokens }: LikePage,
): number {
  lane.pool.pages.share([page]);
  sequence.scheduled += tokens;
  machine.copied++;
  return page;
}
