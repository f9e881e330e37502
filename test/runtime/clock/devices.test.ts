/** Page moves between the runs of a step that is handed over bit by bit. */
import { expect, it } from 'vitest';
import { createClockDevices, type ClockDevices } from '../../../runtime/clock/devices.js';
import { createVirtualClock } from '../../../runtime/clock/virtual-clock.js';

/** When a move begins that is asked for in second 1, on a device whose step has a first run of 4 s. */
function begunAt(slowdowns: readonly (readonly [at: number, slowdown: number])[]): number {
  const clock = createVirtualClock();
  const devices = createClockDevices(clock);
  // How far the step is at a time, and how many seconds one of it takes from there on.
  let [done, at, slowdown] = [0, 0, 1];
  const runs = { ends: [4, 9], handed: [6], exchanged: [true], lastSubmit: 0 };
  const timeOf = (seconds: number): number => at + (seconds - done) * slowdown;
  for (const [from, next] of slowdowns)
    clock.at(from, () => {
      done += (from - at) / slowdown;
      [at, slowdown] = [from, next];
    });
  let begun = NaN;
  devices.run([0], { inParts: () => ({ runs, timeOf }), begin: () => undefined });
  clock.at(1, () =>
    devices.movePages(0, (over) => {
      begun = clock.now();
      clock.at(begun + 1, over);
      return { waitsUntil: begun, end: begun + 1 };
    }),
  );
  while (clock.advance());
  return begun;
}

it('begin behind the run that the step was at', () => {
  expect(begunAt([])).toBe(4);
});

it('wait for it as long as it takes, also where others slow it on a processor that they share', () => {
  expect(begunAt([[2, 2]])).toBe(6);
  expect(
    begunAt([
      [2, 2],
      [5, 4],
    ]),
  ).toBe(7);
});

interface Moved {
  readonly devices: ClockDevices;
  /** What happened when. */
  readonly told: readonly [string, number][];
  /** When each of them was through with the step. */
  readonly ends: readonly number[] | undefined;
}

/** Two devices with a step of 9 s, 2 s of which are an exchange, and on the first a move from second 4 to second 9. */
function moved(waitsUntil: number): Moved {
  const clock = createVirtualClock();
  const devices = createClockDevices(clock);
  const runs = { ends: [4, 9], handed: [6], exchanged: [true], lastSubmit: 0 };
  const told: [string, number][] = [];
  let ends: readonly number[] | undefined;
  devices.run([0, 1], {
    inParts: () => ({ runs, timeOf: (seconds) => seconds }),
    begin: (work) =>
      clock.at(9, () =>
        devices.whenThrough(work, (each) => {
          told.push(['step', clock.now()]);
          ends = each;
        }),
      ),
  });
  // Behind the first run, and 3 s into the second one.
  clock.at(1, () =>
    devices.movePages(0, (over) => {
      clock.at(9, over);
      return { waitsUntil, end: 9 };
    }),
  );
  clock.at(2, () => {
    for (const device of [0, 1])
      devices.run([device], {
        inParts: undefined,
        begin: () => told.push([`next on ${device}`, clock.now()]),
      });
  });
  while (clock.advance());
  return { devices, told, ends };
}

it('keep none but their own device from what comes behind the step', () => {
  const { devices, told, ends } = moved(4);
  expect(ends).toEqual([12, 9]);
  expect(told).toEqual([
    ['next on 1', 9],
    ['next on 0', 12],
    ['step', 12],
  ]);
  // Of the 5 s of the move 2 went beside the exchange.
  expect([devices.beside(0), devices.beside(1)]).toEqual([2, 0]);
  expect([devices.heldUp(0), devices.heldUp(1)]).toEqual([0, 0]);
});

it('wait for weights beside the exchange first, and keep the step with what is left of that', () => {
  const costs = [5, 7, 9].map((waitsUntil) => {
    const { devices } = moved(waitsUntil);
    return [devices.heldUp(0), devices.beside(0)];
  });
  expect(costs).toEqual([
    [0, 1],
    [1, 0],
    [3, 0],
  ]);
});
