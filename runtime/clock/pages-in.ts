/** Page moves from the host, which writes chunks until the device is two windows of bytes behind (`runtime/exec/pace.ts`). */
import { WINDOW_BYTES } from '../kv/move-sizes.js';
import { entryOf, timeIn, type ChunkedMove, type PageEntries } from './page-entries.js';
import type { VirtualClock } from './virtual-clock.js';

export interface PagesInContext {
  readonly clock: VirtualClock;
  /** Calls back behind the steps that are given out by now. */
  readonly afterSteps: (go: () => void) => void;
}

/** Something that will be over; whoever waits for it is called then. */
interface Mark {
  come: boolean;
  readonly waiting: (() => void)[];
}

/** The moves of a device. */
interface InState {
  /** Bytes that the host has written since the last whole window. */
  window: number;
  /** Comes when the device is done with all up to the last whole window. */
  before: Mark | undefined;
  /** Number of moves that the host is writing. */
  writing: number;
}

/**
 * The host writes a window of bytes at a time; of moves that have more than so many of them, as many parts: a simulation
 * would have little else to do.
 */
const MOST_WINDOWS = 8;

/** What `PageTurns` does with moves in. */
export function createPagesIn(
  { clock, afterSteps }: PagesInContext,
  { give }: PageEntries,
): (move: ChunkedMove) => void {
  const states: InState[] = [];
  const stateOf = (device: number): InState =>
    (states[device] ??= { window: 0, before: undefined, writing: 0 });
  const written: (() => void)[] = [];
  /** Moves to several devices that are written at this moment end one after the other: the scheduler may act in between. */
  const inTurn = (goOn: () => void): void => {
    written.push(goOn);
    if (written.length === 1) clock.at(clock.now(), nextInTurn);
  };
  const nextInTurn = (): void => {
    written[0]!();
    written.shift();
    if (written.length > 0) clock.at(clock.now(), nextInTurn);
  };
  /** What goes on behind the steps that are given out at this moment: ranks of a move do so one after the other. */
  let resuming: (() => void)[] | undefined;
  const resume = (goOn: () => void): void => {
    if (resuming !== undefined) {
      resuming.push(goOn);
      return;
    }
    const these = (resuming = [goOn]);
    clock.behind(clock.now(), () => {
      resuming = undefined;
      afterSteps(() => {
        for (const each of these) each();
      });
    });
  };
  /**
   * Writes a move from some page on.
   *
   * @param part the first that ends behind that page
   * @param answers whether one ends with the chunk before, of which the scheduler is told now
   */
  const write = (move: ChunkedMove, from: number, part: number, answers: boolean): void => {
    const { device, pages, pageBytes, chunkPages, parts } = move;
    const state = stateOf(device);
    const marks: { readonly pages: number; readonly mark: Mark }[] = [];
    const windowBytes = Math.max(WINDOW_BYTES, (pages * pageBytes) / MOST_WINDOWS);
    let [at, lastChunk] = [from, from];
    let blocked: Mark | undefined;
    // Behind a chunk the host does what else there is to do at this moment: steps, and other moves.
    let stops = from === 0 || answers || state.writing > 1;
    let ends = false;
    for (let stopped = false; at < pages && !stopped;) {
      lastChunk = at;
      at = Math.min(at + chunkPages, pages);
      ends = false;
      for (; part < parts.length && parts[part]! <= at; part++) ends = true;
      state.window += (at - lastChunk) * pageBytes;
      if (state.window < windowBytes) {
        stopped = stops;
        stops = ends;
        continue;
      }
      // It goes right on behind a window, unless the device is too far behind.
      state.window = 0;
      if (state.before?.come === false) blocked = state.before;
      state.before = { come: false, waiting: [] };
      marks.push({ pages: at - from, mark: state.before });
      stopped = blocked !== undefined;
      stops ||= ends;
    }
    const entry = entryOf(move, at - from);
    const come = (mark: Mark): void => {
      mark.come = true;
      for (const go of mark.waiting) go();
    };
    give(
      move,
      entry,
      () => {
        for (const { pages: some, mark } of marks)
          if (some < entry.pages) clock.at(timeIn(entry, some), () => come(mark));
      },
      () => {
        const last = marks.at(-1);
        if (last?.pages === entry.pages) come(last.mark);
      },
    );
    const goOn = (): void => {
      if (at < pages) {
        write(move, at, part, ends);
        return;
      }
      state.writing--;
      move.gone(pages, clock.now);
    };
    if (at === pages && blocked === undefined) {
      inTurn(goOn);
      return;
    }
    // It is done with the last chunk when it goes on.
    move.gone(lastChunk, clock.now);
    if (blocked !== undefined) blocked.waiting.push(goOn);
    // What others are answered at this moment comes first, and the steps that follow from it.
    else resume(goOn);
  };
  return (move) => {
    stateOf(move.device).writing++;
    write(move, 0, 0, false);
  };
}
