/** How chunks of page moves get into the queue of their device, and what comes between them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Road } from '../../../compiler/reshard/roads.js';
import { createClockDevices, type ClockDevices } from '../../../runtime/clock/devices.js';
import type { Lanes } from '../../../runtime/clock/lanes.js';
import { createPageTurns, type PageTurns } from '../../../runtime/clock/page-turns.js';
import { createVirtualClock, type VirtualClock } from '../../../runtime/clock/virtual-clock.js';
import { WINDOW_BYTES } from '../../../runtime/kv/move-sizes.js';

/** A chunk takes a second, and a window has four of them. */
const CHUNK = WINDOW_BYTES / 4;
const BESIDE_STEPS = 6;

interface Bench {
  readonly clock: VirtualClock;
  readonly devices: ClockDevices;
  readonly turns: PageTurns;
  /** When the host was done with each part of a move. */
  readonly move: (direction: 'out' | 'in', parts: readonly number[]) => number[];
  /** Gives the device a step; says when it began. */
  readonly step: (seconds: number) => { begun: number };
}

function bench(): Bench {
  const clock = createVirtualClock();
  const devices = createClockDevices(clock);
  const transfer: Lanes['transfer'] = (_road, bytes, ready) => ({
    start: ready,
    end: ready + bytes / CHUNK,
    behindWeights: 0,
  });
  const turns = createPageTurns({
    clock,
    lanes: { transfer } as Lanes,
    devices,
    copyEngines: false,
    afterSteps: (go) => clock.behind(clock.now(), go),
    readsBesideSteps: () => BESIDE_STEPS,
  });
  return {
    clock,
    devices,
    turns,
    move(direction, sizes) {
      let pages = 0;
      const parts = sizes.map((size) => (pages += size));
      const answered: number[] = [];
      let next = 0;
      turns[direction]({
        device: 0,
        road: {} as Road,
        pageBytes: CHUNK / 2,
        chunkPages: 2,
        pages,
        parts,
        carried: () => undefined,
        gone(upTo, timeOf) {
          for (; next < parts.length && parts[next]! <= upTo; next++) answered.push(timeOf(parts[next]!));
        },
      });
      return answered;
    },
    step(seconds) {
      const told = { begun: NaN };
      devices.enter([0]);
      clock.behind(clock.now(), () =>
        devices.run([0], {
          inParts: undefined,
          begin(work) {
            told.begun = clock.now();
            clock.at(clock.now() + seconds, () => {
              devices.leave([0]);
              devices.whenThrough(work, () => undefined);
            });
          },
        }),
      );
      return told;
    },
  };
}

describe('moves out', () => {
  it('go on as those before them get to the host, more of them at once beside steps', () => {
    const { clock, move, step } = bench();
    const answered = move('out', [20]);
    let told = { begun: NaN };
    clock.at(2.5, () => (told = step(10)));
    while (clock.advance());
    // Two chunks are there and six more are given to the device when the step is, the others behind it.
    expect(told.begun).toBe(8);
    expect(answered).toEqual([20]);
  });

  it('let a move in between their chunks where no step is given to the device', () => {
    const { clock, move } = bench();
    const out = move('out', [20]);
    clock.at(2.5, () => void move('in', [4]));
    while (clock.advance());
    expect(out).toEqual([12]);
  });
});

describe('moves in', () => {
  it('are written as far as two windows ahead of the device', () => {
    const { clock, move } = bench();
    // Not quite five windows, with a part that ends in the first of them.
    const answered = move('in', [3, 35]);
    while (clock.advance());
    // The last window is written when the third of them is there.
    expect(answered).toEqual([0, 12]);
  });

  it('let a step that is given out with them in behind their first chunk', () => {
    const { clock, move, step } = bench();
    const answered = move('in', [14]);
    const told = step(10);
    while (clock.advance());
    expect(told.begun).toBe(1);
    expect(answered).toEqual([0]);
  });
});

it('whatever comes in between, every page moves once and every part is answered, none before its time', () => {
  const move = fc.record({
    at: fc.integer({ min: 0, max: 60 }),
    direction: fc.constantFrom('out' as const, 'in' as const),
    parts: fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 4 }),
  });
  const step = fc.record({ at: fc.integer({ min: 0, max: 60 }), seconds: fc.integer({ min: 1, max: 9 }) });
  fc.assert(
    fc.property(
      fc.array(move, { minLength: 1, maxLength: 6 }),
      fc.array(step, { maxLength: 6 }),
      (moves, steps) => {
        const { clock, turns, ...each } = bench();
        const answers: { readonly at: number; readonly parts: number; readonly answered: number[] }[] = [];
        for (const { at, direction, parts } of moves)
          clock.at(at, () =>
            answers.push({ at, parts: parts.length, answered: each.move(direction, parts) }),
          );
        for (const { at, seconds } of steps) clock.at(at, () => void each.step(seconds));
        while (clock.advance());
        const pages = moves.reduce((sum, { parts }) => sum + parts.reduce((all, size) => all + size, 0), 0);
        expect(turns.seconds(0)).toBeCloseTo(pages / 2, 6);
        for (const { at, parts, answered } of answers) {
          expect(answered).toHaveLength(parts);
          expect([...answered].sort((a, b) => a - b)).toEqual(answered);
          expect(answered[0]).toBeGreaterThanOrEqual(at);
        }
      },
    ),
  );
});
