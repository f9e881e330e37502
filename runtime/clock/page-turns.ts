/**
 * How moves of KV pages get into the queue of their device: chunk by chunk, as the executor gives them to it. What else a
 * device is given meanwhile comes in between.
 */
import { createPageEntries, type ChunkedMove, type EntriesContext } from './page-entries.js';
import { createPagesIn, type PagesInContext } from './pages-in.js';
import { createPagesOut, type PagesOutContext } from './pages-out.js';

/** Moves pages of the devices of one host. */
export interface PageTurns {
  /** Moves pages out. The host is done with them when they are there. */
  readonly out: (move: ChunkedMove) => void;
  /**
   * Moves pages in. The host is done with them when it has written them: what the device is given from then on finds
   * them.
   */
  readonly in: (move: ChunkedMove) => void;
  /** Seconds of its queue that a device has had for moves, less waits for links that weights had. */
  readonly seconds: (device: number) => number;
}

/** What page moves share with everything else on the clock. */
export interface TurnsContext extends EntriesContext, PagesInContext, PagesOutContext {
  /** Pages move beside kernels: no move stands in a queue. */
  readonly copyEngines: boolean;
}

/** Begins with no moves under way. */
export function createPageTurns(context: TurnsContext): PageTurns {
  const entries = createPageEntries(context);
  const { beside, seconds } = entries;
  if (context.copyEngines) return { out: beside, in: beside, seconds };
  return { out: createPagesOut(context, entries), in: createPagesIn(context, entries), seconds };
}
