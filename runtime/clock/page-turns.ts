/**
 * How moves of KV pages get into the queue of their device: chunk by chunk, as the executor gives them to it.
 *
 * - *out*: so many chunks of a device are on their way at once, more while steps are given to it as well; the next one is
 *   given to it when one of them is with the host (`runtime/kv/page-mover.ts`).
 * - *in*: the host writes chunks until the device is two windows of bytes behind (`runtime/exec/pace.ts`).
 *
 * What else a device is given meanwhile comes in between. Chunks of a move that are given to it at one moment are one
 * entry of its queue. With copy engines nothing waits in a queue, and a move goes as a whole.
 */
import type { Road } from '../../compiler/reshard/roads.js';
import { READS, WINDOW_BYTES } from '../kv/move-sizes.js';
import type { ClockDevices } from './devices.js';
import type { Lanes, Transfer } from './lanes.js';
import type { VirtualClock } from './virtual-clock.js';

/** Pages of one rank that are asked for at one moment. */
export interface ChunkedMove {
  readonly device: number;
  readonly road: Road;
  readonly pageBytes: number;
  /** Pages of a chunk, which arrive together. */
  readonly chunkPages: number;
  readonly pages: number;
  /** After how many pages each part of the move ends that somebody waits for, ascending. */
  readonly parts: readonly number[];
  /**
   * Called repeatedly with a growing count: the host is done with the first n pages at `timeOf(n)` seconds, for each n
   * up to `pages`. A time that has passed stands for now.
   */
  readonly gone: (pages: number, timeOf: (pages: number) => number) => void;
  /** Told when pages go over links, once that is known. */
  readonly carried: (span: Pick<Transfer, 'start' | 'end'>, pages: number) => void;
}

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
export interface TurnsContext {
  readonly clock: VirtualClock;
  readonly lanes: Lanes;
  readonly devices: ClockDevices;
  /** Pages move beside kernels: no move stands in a queue. */
  readonly copyEngines: boolean;
  /** Calls back behind the steps that are given out by now. */
  readonly afterSteps: (go: () => void) => void;
  /** How many chunks of a device may be on their way to the host at once while steps are given to it as well. */
  readonly readsBesideSteps: (device: number) => number;
}

/** Chunks in the queue of a device. */
interface Entry {
  readonly pages: number;
  readonly chunkPages: number;
  /** Seconds at which it begins; infinite until that is known. */
  start: number;
  end: number;
}

/** Something that will be over; whoever waits for it is called then. */
interface Mark {
  come: boolean;
  readonly waiting: (() => void)[];
}

/** The moves of a device. */
interface TurnState {
  seconds: number;
  /** Entries on their way to the host. */
  readonly entries: Entry[];
  /** Moves out with chunks that wait, and how many pages of each have been given to the device. */
  readonly waiting: { readonly move: ChunkedMove; given: number }[];
  /** Seconds at which the next chunk is to be given to the device. */
  wake: number;
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

/** Times of chunks are sums of fractions. */
const ROUNDING = 1e-9;

function timeIn({ pages, start, end }: Entry, some: number): number {
  return some < pages ? start + (some / pages) * (end - start) : end;
}

/** Chunks of an entry that are there. */
function arrived({ pages, chunkPages, start, end }: Entry, now: number): number {
  if (!(now > start)) return 0;
  return Math.floor(((now - start) / (end - start)) * (pages / chunkPages) + ROUNDING);
}

/** Begins with no moves under way. */
export function createPageTurns({
  clock,
  lanes,
  devices,
  copyEngines,
  afterSteps,
  readsBesideSteps,
}: TurnsContext): PageTurns {
  const states: TurnState[] = [];
  const stateOf = (device: number): TurnState =>
    (states[device] ??= {
      seconds: 0,
      entries: [],
      waiting: [],
      wake: -1,
      window: 0,
      before: undefined,
      writing: 0,
    });
  /** Carries the pages of an entry from now on, and notes its times; returns until when weights have the link. */
  const carry = ({ road, pageBytes, carried }: ChunkedMove, entry: Entry): number => {
    entry.start = clock.now();
    const { start, end, behindWeights } = lanes.transfer(road, entry.pages * pageBytes, entry.start);
    entry.end = end;
    carried({ start, end }, entry.pages);
    return entry.start + behindWeights;
  };
  const entryOf = ({ chunkPages }: ChunkedMove, pages: number): Entry => ({
    pages,
    chunkPages,
    start: Infinity,
    end: Infinity,
  });
  /** Puts an entry into the queue of the device. */
  const give = (move: ChunkedMove, entry: Entry, begun: () => void, over: () => void): void => {
    devices.movePages(move.device, (through) => {
      const waitsUntil = carry(move, entry);
      stateOf(move.device).seconds += entry.end - waitsUntil;
      clock.at(entry.end, () => {
        through();
        over();
      });
      begun();
      return { waitsUntil, end: entry.end };
    });
  };
  const beside = (move: ChunkedMove): void => {
    const entry = entryOf(move, move.pages);
    carry(move, entry);
    move.gone(move.pages, (pages) => timeIn(entry, inChunks(pages, move.chunkPages)));
  };
  const giveOut = (device: number): void => {
    const state = stateOf(device);
    const { entries, waiting } = state;
    const now = clock.now();
    let room = devices.isBusy(device) ? readsBesideSteps(device) : READS;
    for (const entry of entries) room -= Math.ceil(entry.pages / entry.chunkPages) - arrived(entry, now);
    while (room > 0 && waiting.length > 0) {
      const first = waiting[0]!;
      const { move, given } = first;
      const pages = Math.min(move.pages - given, room * move.chunkPages);
      room -= Math.ceil(pages / move.chunkPages);
      first.given += pages;
      if (first.given === move.pages) waiting.shift();
      const entry = entryOf(move, pages);
      entries.push(entry);
      const beforeLast = given + inChunks(pages, move.chunkPages) - move.chunkPages;
      give(
        move,
        entry,
        () => {
          // Pages before this entry are there: it may begin just before it is told that the last one is over.
          move.gone(beforeLast, (some) => timeIn(entry, inChunks(some - given, move.chunkPages)));
          giveNextOut(device);
        },
        () => {
          entries.splice(entries.indexOf(entry), 1);
          if (waiting.length > 0) giveOut(device);
          move.gone(given + pages, clock.now);
        },
      );
    }
    giveNextOut(device);
  };
  /** Chunks that wait go on when the next of those under way is there. */
  const giveNextOut = (device: number): void => {
    const state = stateOf(device);
    if (state.waiting.length === 0) return;
    const first = state.entries[0];
    if (first === undefined || first.end === Infinity) return;
    const next = timeIn(first, (arrived(first, clock.now()) + 1) * first.chunkPages);
    // At its end it makes room by itself.
    if (next >= first.end || next === state.wake) return;
    state.wake = next;
    clock.at(next, () => giveOut(device));
  };
  devices.onBusy((device) => {
    if ((states[device]?.waiting.length ?? 0) > 0) giveOut(device);
  });
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
  return {
    out(move) {
      if (copyEngines) return beside(move);
      stateOf(move.device).waiting.push({ move, given: 0 });
      giveOut(move.device);
    },
    in(move) {
      if (copyEngines) return beside(move);
      stateOf(move.device).writing++;
      write(move, 0, 0, false);
    },
    seconds: (device) => states[device]?.seconds ?? 0,
  };
}

/** The number of pages, rounded up to whole chunks. */
function inChunks(pages: number, chunkPages: number): number {
  return Math.ceil(pages / chunkPages) * chunkPages;
}
