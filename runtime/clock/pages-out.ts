/**
 * Page moves to the host: so many chunks of a device are on their way at once, more while steps are given to it as well;
 * the next one is given to it when one of them is with the host (`runtime/kv/page-mover.ts`).
 */
import { READS } from '../kv/move-sizes.js';
import type { ClockDevices } from './devices.js';
import { arrived, entryOf, inChunks, timeIn } from './page-entries.js';
import type { ChunkedMove, Entry, PageEntries } from './page-entries.js';
import type { VirtualClock } from './virtual-clock.js';

export interface PagesOutContext {
  readonly clock: VirtualClock;
  readonly devices: ClockDevices;
  /** How many chunks of a device may be on their way to the host at once while steps are given to it as well. */
  readonly readsBesideSteps: (device: number) => number;
}

/** The moves of a device. */
interface OutState {
  /** Entries on their way to the host. */
  readonly entries: Entry[];
  /** Moves with chunks that wait, and how many pages of each have been given to the device. */
  readonly waiting: { readonly move: ChunkedMove; given: number }[];
  /** Seconds at which the next chunk is to be given to the device. */
  wake: number;
}

/** What `PageTurns` does with moves out. */
export function createPagesOut(
  { clock, devices, readsBesideSteps }: PagesOutContext,
  { give }: PageEntries,
): (move: ChunkedMove) => void {
  const states: OutState[] = [];
  const stateOf = (device: number): OutState => (states[device] ??= { entries: [], waiting: [], wake: -1 });
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
  return (move) => {
    stateOf(move.device).waiting.push({ move, given: 0 });
    giveOut(move.device);
  };
}
