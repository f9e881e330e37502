/**
 * Chunks of page moves in the queues of their devices, as entries: what is given to a device at one moment is one. With
 * copy engines nothing waits in a queue, and a move goes as a whole.
 */
import type { Road } from '../../compiler/reshard/roads.js';
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

/** Chunks in the queue of a device. */
export interface Entry {
  readonly pages: number;
  readonly chunkPages: number;
  /** Seconds at which it begins; infinite until that is known. */
  start: number;
  end: number;
}

/** Times of chunks are sums of fractions. */
const ROUNDING = 1e-9;

/** What page moves share with everything else on the clock. */
export interface EntriesContext {
  readonly clock: VirtualClock;
  readonly lanes: Lanes;
  readonly devices: ClockDevices;
}

/** Carries entries. */
export interface PageEntries {
  /** Puts an entry into the queue of the device of its move; it is over when its pages are there. */
  readonly give: (move: ChunkedMove, entry: Entry, begun: () => void, over: () => void) => void;
  /** Carries a whole move at once, whatever its device does. */
  readonly beside: (move: ChunkedMove) => void;
  /** As `PageTurns` has it. */
  readonly seconds: (device: number) => number;
}

/** Begins with no moves under way. */
export function createPageEntries({ clock, lanes, devices }: EntriesContext): PageEntries {
  const seconds: number[] = [];
  /** Carries the pages of an entry from now on, and notes its times; returns until when weights have the link. */
  const carry = ({ road, pageBytes, carried }: ChunkedMove, entry: Entry): number => {
    entry.start = clock.now();
    const { start, end, behindWeights } = lanes.transfer(road, entry.pages * pageBytes, entry.start);
    entry.end = end;
    carried({ start, end }, entry.pages);
    return entry.start + behindWeights;
  };
  return {
    give(move, entry, begun, over) {
      const { device } = move;
      devices.movePages(device, (through) => {
        const waitsUntil = carry(move, entry);
        seconds[device] = (seconds[device] ?? 0) + entry.end - waitsUntil;
        clock.at(entry.end, () => {
          through();
          over();
        });
        begun();
        return { waitsUntil, end: entry.end };
      });
    },
    beside(move) {
      const entry = entryOf(move, move.pages);
      carry(move, entry);
      move.gone(move.pages, (pages) => timeIn(entry, inChunks(pages, move.chunkPages)));
    },
    seconds: (device) => seconds[device] ?? 0,
  };
}

/** An entry of so many pages of a move, which has not begun. */
export function entryOf({ chunkPages }: ChunkedMove, pages: number): Entry {
  return { pages, chunkPages, start: Infinity, end: Infinity };
}

/** Seconds at which the first `some` pages of an entry are there. */
export function timeIn({ pages, start, end }: Entry, some: number): number {
  return some < pages ? start + (some / pages) * (end - start) : end;
}

/** Chunks of an entry that are there. */
export function arrived({ pages, chunkPages, start, end }: Entry, now: number): number {
  if (!(now > start)) return 0;
  return Math.floor(((now - start) / (end - start)) * (pages / chunkPages) + ROUNDING);
}

/** The number of pages, rounded up to whole chunks. */
export function inChunks(pages: number, chunkPages: number): number {
  return Math.ceil(pages / chunkPages) * chunkPages;
}
