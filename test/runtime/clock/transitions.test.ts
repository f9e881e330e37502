/** Transitions on the clock beside steps that were given out before and after them. */
import { describe, expect, it } from 'vitest';
import type { RuntimeTransition } from '../../../compiler/ir/runtime-graph.js';
import { createClockDevices, type ClockDevices } from '../../../runtime/clock/devices.js';
import { createTransitions, type Transitions } from '../../../runtime/clock/transitions.js';
import { createVirtualClock, type VirtualClock } from '../../../runtime/clock/virtual-clock.js';
import type { ClockTransition } from '../../../runtime/clock/weights.js';

/** Moves between two stages on devices 0 and 1. */
function between(from: string, to: string): RuntimeTransition {
  const devices = [0, 1].map((device) => ({ device, moves: 0, peers: [] }));
  const nothing = { keep: [], copy: [], upload: [], evict: [], uploadBytes: 0 };
  return { from, to, moves: [nothing], devices, origin: { file: 'test.plan', span: { start: 0, end: 0 } } };
}

interface Stand {
  readonly clock: VirtualClock;
  readonly devices: ClockDevices;
  readonly transitions: Transitions;
  /** What the moves were told, in order. */
  readonly told: string[];
}

/**
 * @param waits for how many exchanges of old steps what is moved waits, none where it is negative
 * @param near whether it is all near
 */
function stand(waits: number, near = true): Stand {
  const clock = createVirtualClock();
  const devices = createClockDevices(clock);
  const told: string[] = [];
  const transitions = createTransitions(clock, devices, (): ClockTransition => {
    return {
      bytes: 0,
      gates: new Set(Array.from({ length: waits + 1 }, (_, gate) => gate)),
      prepare: () => undefined,
      isNear: () => near,
      open(device, exchanges) {
        if (exchanges >= 0) told.push(`${clock.now()}: ${device} past ${exchanges}`);
        return exchanges >= waits;
      },
      begin(device) {
        told.push(`${clock.now()}: ${device} begins`);
        const end = clock.now();
        const course = { arrival: () => end, give: () => undefined, end: () => end, delay: () => 0 };
        return { course, needs: new Map(), spans: () => [] };
      },
    };
  });
  return { clock, devices, transitions, told };
}

const noOne = (): void => undefined;

describe('a transition', () => {
  const groups = [{ devices: [0, 1] }];

  it('that has nothing to move is over at once, and later steps wait for those before it, whatever switches follow', () => {
    const { clock, devices, transitions } = stand(-1);
    const seen: string[] = [];
    const switchTo = (from: string, to: string): void => {
      transitions.start(between(from, to), to, noOne, () => seen.push(`${from} -> ${to}`));
      while (clock.advance());
    };
    const begin = (what: string, residence: string): void => {
      const [ahead] = transitions.ahead(groups, residence);
      devices.enter([0, 1]);
      transitions.whenBegun(ahead, () => seen.push(what));
    };
    begin('old', 'a');
    switchTo('a', 'b');
    begin('new', 'b');
    switchTo('b', 'a');
    begin('last', 'a');
    expect(seen).toEqual(['old', 'a -> b', 'b -> a']);
    devices.leave([0, 1]);
    expect(seen.slice(3)).toEqual(['new']);
    devices.leave([0, 1]);
    expect(seen.slice(4)).toEqual(['last']);
    expect(transitions.ahead(groups, 'a')).toEqual([]);
  });

  it('moves on every rank what a step under way is past', () => {
    const { clock, devices, transitions, told } = stand(2);
    const runs = { ends: [1, 2, 3, 4], handed: [1, 2, 3], exchanged: [true, true, true], lastSubmit: 0 };
    devices.enter([0, 1]);
    devices.run([0, 1], {
      inParts: () => ({ runs, timeOf: (seconds) => seconds }),
      begin: (work) => {
        clock.at(4, () => devices.whenThrough(work, () => devices.leave([0, 1])));
      },
    });
    clock.at(2.5, () => transitions.start(between('a', 'b'), 'b', noOne, noOne));
    while (clock.advance());
    for (const device of [0, 1])
      expect(told.filter((each) => each.includes(` ${device} `))).toEqual([
        ...(device === 0 ? [`2.5: 0 past 0`] : []),
        `2.5: ${device} past 1`,
        `3: ${device} past 2`,
        `3: ${device} begins`,
      ]);
  });

  it('begins once where a device has pages to move and nothing waits for steps', () => {
    const { clock, devices, transitions, told } = stand(-1, false);
    let over = 0;
    devices.movePages(0, (done) => {
      clock.at(2, done);
      return { waitsUntil: 0, end: 2 };
    });
    clock.at(1, () => transitions.start(between('a', 'b'), 'b', noOne, () => over++));
    while (clock.advance());
    expect(told.filter((each) => each.endsWith('0 begins'))).toHaveLength(1);
    expect(over).toBe(1);
  });
});
