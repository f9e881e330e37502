/** What the devices of a tp group do on the clock where some are faster than others. */
import { expect, it } from 'vitest';
import { COST_KINDS } from '../../../compiler/cost/program-cost.js';
import type { InnerSlice } from '../../../runtime/clock/timeline.js';
import { requestsOf } from './reshard-plan.js';
import { FREE_ENGINE, onLane, run, withFaster, type Ran } from './run-plan.js';

it('counts of a faster device what it computes itself, and the wait for the others of its group as a bubble', () => {
  const stages = [{ name: 'serve', mesh: { tp: 4 } }];
  const of = (faster: readonly number[]): Ran =>
    run({ stages }, requestsOf(3, 30, 4), FREE_ENGINE, 'dataflow', withFaster(faster, 4));
  const [slow, fast, mixed] = [of([]), of([0, 1, 2, 3]), of([1, 2])];
  expect(mixed.makespan).toBe(slow.makespan);
  for (const device of [0, 3]) expect(mixed.devices[device]).toEqual(slow.devices[device]);
  for (const device of [1, 2]) {
    const { seconds, idle, bubbles } = mixed.devices[device]!;
    for (const kind of COST_KINDS) expect(seconds[kind]).toBeCloseTo(fast.devices[device]!.seconds[kind], 12);
    const { gemm, attention, elementwise } = slow.devices[device]!.seconds;
    expect(idle).toBeCloseTo(((gemm + attention + elementwise) * 3) / 4, 12);
    expect(bubbles).toBe(idle);
    // Exchanges are at the same time on all, kernels before them shorter here.
    const inner = [0, device].map((each) => onLane(mixed, each, 'queue').flatMap(({ within }) => within!()));
    const [ofSlow, ofFast] = inner as [InnerSlice[], InnerSlice[]];
    expect(ofFast.map(({ name, start }) => [name, start])).toEqual(
      ofSlow.map(({ name, start }) => [name, start]),
    );
    for (const [part, { name, start, end }] of ofFast.entries())
      if (name === 'kernels') expect(end - start).toBeLessThan(0.5 * (ofSlow[part]!.end - start));
      else expect(end).toBe(ofSlow[part]!.end);
  }
});
