/**
 * Pages of models in which every layer sees a window: those that no coming row sees are given up while a sequence goes on,
 * so that it holds no more than a window and the rows in work lie in, however long it is.
 *
 * Invariant. Let `next` be the first position that a row in flight or the next one to be given out may have. A sequence in
 * prefill or decode holds the pages of all KV that it has from the first one on that a row at `next` sees, and none before
 * that. In a tier it holds those that its next row sees. What it gives up can be found by others as long as nobody takes it
 * (see prefix.ts), and who goes on behind a prompt's first tokens needs the pages seen from there alone.
 *
 * A prompt is let in with pages for as many rows as its pipeline has in work at most, and takes further ones when steps are
 * done and pages fall behind the window. As these may be shared, so that giving them up frees nothing, it can lack a page:
 * it then goes on with fewer rows, takes pages from younger sequences, or gives up its own if nothing else goes on (see
 * steps.ts). Without a window a sequence has all pages of its prompt from the start, and gives up none.
 */
import { firstPageSeen, pagesSpanned } from '../../compiler/model/kv-window.js';
import { pagesFor } from './machine.js';
import type { Lane, Machine, PoolReplica } from './machine.js';
import { heldPages, NO_PAGE, tableFrom } from './page-table.js';
import type { Sequence } from './sequences.js';

/** The most pages that a prompt holds on the lane at once. */
function mostPagesAhead({ config }: Machine, { stage, pool }: Lane): number {
  const { maxTokens, depth } = stage.config;
  return Math.min(pagesSpanned(config, maxTokens * depth), pool.pages.total);
}

/** Where the pages end that a prompt of so many tokens holds on the lane when it has gone on to `next`. */
export function pagesEnd(machine: Machine, lane: Lane, next: number, tokens: number): number {
  const first = firstPageSeen(machine.config, next);
  return Math.min(pagesFor(machine, tokens), first + mostPagesAhead(machine, lane));
}

/** The first position that a row in flight or the next one may have. */
function nextPosition({ stepsInFlight, scheduled, computed }: Sequence): number {
  return stepsInFlight > 0 ? computed : scheduled;
}

/** Gives up the pages on the devices that no row sees any more. */
export function giveUpUnseen(machine: Machine, sequence: Sequence, pool: PoolReplica): void {
  if (machine.config.window === undefined) return;
  const first = firstPageSeen(machine.config, nextPosition(sequence));
  // Those that are held are neighbours.
  if (first === 0 || sequence.pages[first - 1] === NO_PAGE) return;
  pool.pages.give(heldPages(sequence.pages.slice(0, first)));
  sequence.pages = tableFrom(first, sequence.pages.slice(first));
}

/** Pages that a sequence in prefill may yet take for its coming rows, as it has gone on. */
export function pagesToCome(machine: Machine, lane: Lane, sequence: Sequence): number {
  if (machine.config.window === undefined) return 0;
  const end = pagesEnd(machine, lane, nextPosition(sequence), sequence.target);
  return Math.max(0, end - sequence.pages.length);
}

/** Whether the devices hold the KV that a sequence would need to go on behind what it has computed. */
export function holdsComputed({ config }: Machine, { pages, computed }: Sequence): boolean {
  const first = firstPageSeen(config, computed);
  return !pages.slice(first, Math.ceil(computed / config.pageTokens)).includes(NO_PAGE);
}
