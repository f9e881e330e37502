/** How much of a time a device did nothing but wait for weights. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { createClockDevices } from '../../../runtime/clock/devices.js';
import { createTransitions, type Transitions } from '../../../runtime/clock/transitions.js';
import { createVirtualClock } from '../../../runtime/clock/virtual-clock.js';
import { makePlan } from '../../compiler/support/make-plan.js';

const { runtime } = compilePlan(
  makePlan({
    stages: [
      { name: 'prefill', mesh: { pp: 2 } },
      { name: 'decode', mesh: { tp: 2 } },
    ],
  }),
);
const transition = runtime.transitions.find(({ from }) => from === 'prefill')!;

/** Weights are on their way from second 1 to second 5; on device 0 pages move meanwhile, from second 2 to second 3. */
function waited(): Transitions {
  const clock = createVirtualClock();
  const devices = createClockDevices(clock);
  const transitions = createTransitions(clock, devices, () => ({
    bytes: 0,
    prepare: () => undefined,
    isNear: () => true,
    gates: new Set(),
    open: () => false,
    begin: () => ({
      course: { arrival: () => 5, give: () => undefined, end: () => 5, delay: () => 0 },
      needs: new Map(),
      spans: () => [],
    }),
  }));
  clock.at(1, () =>
    transitions.start(
      transition,
      'decode',
      () => undefined,
      () => undefined,
    ),
  );
  clock.at(2, () =>
    devices.movePages(0, (over) => {
      clock.at(3, over);
      return 3;
    }),
  );
  while (clock.advance());
  return transitions;
}

describe('waits for weights that are exposed', () => {
  const { exposed } = waited();

  it('last from the beginning of the moves to their end, less what the device does meanwhile', () => {
    expect(exposed(1, { start: 0, end: 10 })).toBe(4);
    expect(exposed(0, { start: 0, end: 10 })).toBe(3);
    expect(exposed(7, { start: 0, end: 10 })).toBe(0);
  });

  it('count as far as they lie within the time', () => {
    expect(exposed(1, { start: 0, end: 4 })).toBe(3);
    expect(exposed(1, { start: 3, end: 4 })).toBe(1);
    expect(exposed(1, { start: 5, end: 10 })).toBe(0);
    expect(exposed(1, { start: 0, end: 1 })).toBe(0);
  });

  it('are idle outside of the time, in which the device has no work', () => {
    // All of the move lies within.
    expect(exposed(0, { start: 2, end: 5 })).toBe(2);
    expect(exposed(0, { start: 1, end: 3 })).toBe(1);
    expect(exposed(0, { start: 2, end: 3 })).toBe(0);
    expect(exposed(0, { start: 6, end: 10 })).toBe(0);
  });
});
