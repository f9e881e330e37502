/** How much of a time a device did nothing but wait for weights. */
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { createClockDevices } from '../../../runtime/clock/devices.js';
import { createTransitions, type Transitions } from '../../../runtime/clock/transitions.js';
import { createVirtualClock } from '../../../runtime/clock/virtual-clock.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { TransitionMode } from '../../../runtime/scheduler/types.js';
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
      return { waitsUntil: 2, end: 3 };
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

describe('page moves behind weights', () => {
  /** Weights are many times the KV, and both come over one link; KV of all devices is the same. */
  const made = makePlan({
    shape: { layers: 8, hidden: 256, heads: 8, kvHeads: 4, headDim: 32, ffn: 512, vocab: 512, context: 128 },
    stages: [
      { name: 'prefill', mesh: { pp: 2 }, microbatchTokens: 64 },
      { name: 'decode', mesh: { tp: 2 }, batchRequests: 8 },
    ],
  });
  const links = made.topology.links.map((link) => ({ ...link, latency: 0 }));
  const plan = { ...made, topology: { ...made.topology, links } };
  const { runtime: graph } = compilePlan(plan);
  const requests = Array.from({ length: 8 }, () => ({ promptTokens: 64, outputTokens: 2 }));
  const { bandwidth } = plan.topology.links.find(({ to }) => to === 'host')!;

  it.each<TransitionMode>(['barrier', 'dataflow'])(
    'take as long as their bytes do on the link, and waits for it are waits for weights (%s)',
    (transitions) => {
      const { makespan, bytes, devices } = simulate(graph, plan, requests, { transitions });
      const crossing = (bytes.kvOut + bytes.kvIn) / devices.length / bandwidth;
      for (const { seconds, pages, exposedTransition, idle } of devices) {
        expect(pages / crossing).toBeCloseTo(1, 9);
        expect(exposedTransition).toBeGreaterThan(0);
        const busy = Object.values(seconds).reduce((sum, each) => sum + each, 0);
        expect((busy + pages + exposedTransition + idle) / makespan).toBeCloseTo(1, 9);
      }
    },
  );
});
