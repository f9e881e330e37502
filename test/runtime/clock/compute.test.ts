/** Devices of one processor that compute at the same time. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeviceKind, Topology } from '../../../compiler/plan/plan.js';
import { createCompute, slowdownBy } from '../../../runtime/clock/compute.js';
import { createVirtualClock } from '../../../runtime/clock/virtual-clock.js';
import { makePlan } from '../../compiler/support/make-plan.js';

/** Four devices, the last two in a group of their own, that share their processor by this law. */
function topology(shared: DeviceKind['shared'], sharedHost?: DeviceKind['sharedHost']): Topology {
  const { topology: made } = makePlan({ stages: [{ name: 'serve', mesh: { tp: 4 } }] });
  const kind = { ...made.devices[0]!.kind, ...(shared && { shared }), ...(sharedHost && { sharedHost }) };
  const devices = made.devices.map((device, i) => ({ ...device, group: i < 2 ? '' : 'other', kind }));
  return { ...made, devices };
}

interface Asked {
  readonly at: number;
  readonly devices: readonly number[];
  readonly seconds: number;
  readonly kernels: number;
  /** Default: none. */
  readonly host?: number;
  readonly hosting?: number;
}

/** When each piece of work is over. */
function ends(
  shared: DeviceKind['shared'],
  work: readonly Asked[],
  sharedHost?: DeviceKind['sharedHost'],
): readonly number[] {
  const clock = createVirtualClock();
  const compute = createCompute(clock, topology(shared, sharedHost));
  const over: number[] = [];
  work.forEach(({ at, host = 0, hosting = 0, ...each }, i) =>
    clock.at(at, () => compute.work({ ...each, host, hosting }, () => (over[i] = clock.now()))),
  );
  while (clock.advance());
  expect(over.filter((time) => time >= 0)).toHaveLength(work.length);
  return over;
}

const busy = (device: number, seconds: number, at = 0): Asked => ({
  at,
  devices: [device],
  seconds,
  kernels: seconds,
});

describe('compute', () => {
  it('divides a processor up, and leaves others alone', () => {
    const half = { 2: 0.5 };
    expect(ends(half, [busy(0, 3), busy(1, 3)])).toEqual([6, 6]);
    expect(ends(half, [busy(0, 3), busy(2, 3)])).toEqual([3, 3]);
    // The second has the processor to itself once the first is over, which it slowed for two seconds.
    expect(ends(half, [busy(0, 2), busy(1, 3, 1)])).toEqual([3, 5]);
    // One step on both devices is slowed as well.
    expect(ends(half, [{ at: 0, devices: [0, 1], seconds: 4, kernels: 3 }])).toEqual([7]);
  });

  it('counts others by the part of their time in which they compute', () => {
    const mixed = { at: 0, devices: [0], seconds: 8, kernels: 6 };
    const [end, other] = ends({ 2: 0.5 }, [mixed, busy(1, 50)]);
    expect(end).toBeCloseTo(14, 9);
    // For those 14 s the other is slowed by twelve fourteenths of a device.
    expect(other).toBeCloseTo(14 + 50 - 14 / (1 + 12 / 14), 9);
  });

  it('slows what the host does by what others compute, as one more device', () => {
    const exchanging = { at: 0, devices: [0], seconds: 8, kernels: 0, host: 8 };
    // The other computes all the while; it is not slowed itself.
    expect(ends({ 2: 0.5 }, [exchanging, busy(1, 50)])).toEqual([16, 50]);
    // Or by what is declared for that.
    expect(ends({ 2: 0.5 }, [exchanging, busy(1, 50)], { 2: 0.25 })).toEqual([32, 50]);
    // Nobody else computes: how long its own devices take for it is what was declared.
    expect(ends({ 2: 0.5 }, [{ ...exchanging, devices: [0, 1] }])).toEqual([8]);
    // Of another group, which has a processor of its own.
    expect(ends({ 2: 0.5 }, [exchanging, busy(2, 50)])).toEqual([8, 50]);
  });

  it('leaves other kinds in the group alone, whatever they are called', () => {
    const clock = createVirtualClock();
    const made = topology({ 2: 0.5 });
    const devices = made.devices.map((device, i) =>
      i === 1 ? { ...device, kind: { ...device.kind } } : device,
    );
    const compute = createCompute(clock, { ...made, devices });
    const over: number[] = [];
    for (const device of [0, 1])
      compute.work({ ...busy(device, 6), host: 0, hosting: 0 }, () => over.push(clock.now()));
    while (clock.advance());
    expect(over).toEqual([6, 6]);
  });

  it('says by how much each kind of work was slowed', () => {
    const clock = createVirtualClock();
    const compute = createCompute(clock, topology({ 2: 0.5 }));
    let slowed: unknown;
    compute.work({ devices: [0], seconds: 9, kernels: 4, host: 3, hosting: 0 }, (by) => (slowed = by));
    compute.work({ devices: [1], seconds: 50, kernels: 50, host: 0, hosting: 0 }, () => undefined);
    while (clock.advance() && slowed === undefined);
    expect(slowed).toEqual({ kernels: expect.closeTo(2, 9) as number, host: expect.closeTo(2, 9) as number });
    expect(clock.now()).toBeCloseTo(2 * 4 + 2 * 3 + 2, 9);
  });

  it('has one host for all, whom works queue for', () => {
    const hosted = (device: number, seconds: number, hosting: number): Asked => ({
      at: 0,
      devices: [device],
      seconds,
      kernels: seconds - hosting,
      host: hosting,
      hosting,
    });
    const four = [0, 1, 2, 3];
    // Who wants nothing but the host has it one after the other.
    for (const end of ends(
      undefined,
      four.map((device) => hosted(device, 3, 3)),
    ))
      expect(end).toBeCloseTo(12, 6);
    expect(ends(undefined, [hosted(0, 3, 3)])).toEqual([3]);
    // Work for which the host does nothing waits for nobody.
    const [first, second, free] = ends(undefined, [hosted(0, 3, 3), hosted(1, 3, 3), busy(2, 5)]);
    expect([first, second]).toEqual([expect.closeTo(6, 6), expect.closeTo(6, 6)]);
    expect(free).toBe(5);
    // A tenth of the time of each: now and then another is there first, and hardly ever two.
    for (const end of ends(
      undefined,
      four.map((device) => hosted(device, 10, 1)),
    )) {
      expect(end).toBeGreaterThan(10 + 0.25);
      expect(end).toBeLessThan(10 + 0.6);
    }
  });

  it('has the host do no more than there is time for, nor has work wait for more than all others', () => {
    const part = fc.double({ min: 0, max: 1, noNaN: true });
    const asked = fc.record({
      seconds: fc.double({ min: 0.5, max: 10, noNaN: true }),
      host: part,
      own: part,
    });
    fc.assert(
      fc.property(fc.array(asked, { minLength: 1, maxLength: 4 }), (all) => {
        const work = all.map(({ seconds, host, own }, device): Asked => {
          const hosting = seconds * host * own;
          return {
            at: 0,
            devices: [device],
            seconds,
            kernels: seconds * (1 - host),
            host: seconds * host,
            hosting,
          };
        });
        const over = ends(undefined, work);
        const hosting = work.reduce((sum, each) => sum + each.hosting!, 0);
        expect(Math.max(...over)).toBeGreaterThan(hosting * 0.98);
        work.forEach((each, i) => {
          expect(over[i]).toBeGreaterThanOrEqual(each.seconds * (1 - 1e-9));
          expect(over[i]).toBeLessThanOrEqual((each.seconds + 3 * each.hosting!) * (1 + 1e-9));
        });
      }),
    );
  });

  it('interpolates what devices do together', () => {
    const slowdown = slowdownBy({ 2: 0.8, 4: 0.5 });
    expect([0.5, 1, 2, 4].map(slowdown)).toEqual([1, 1, 1.25, 2]);
    expect(slowdown(3)).toBeCloseTo(3 / 1.8, 12);
    expect(slowdown(8)).toBe(4);
    // One processor that is divided up, however many there are.
    const divided = slowdownBy({ 4: 0.25 });
    for (const devices of [2, 3, 4, 6]) expect(divided(devices)).toBeCloseTo(devices, 12);
  });

  it('does no work sooner than alone, nor more of it in all than the processor can', () => {
    const asked = fc.record({
      at: fc.double({ min: 0, max: 10, noNaN: true }),
      devices: fc.constantFrom([0], [1], [0, 1]),
      seconds: fc.double({ min: 0.001, max: 10, noNaN: true }),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(asked, { minLength: 1, maxLength: 12 }), (all) => {
        const work = all.map(({ part, ...each }) => ({ ...each, kernels: each.seconds * part }));
        const over = ends({ 2: 0.5 }, work);
        work.forEach(({ at, devices, seconds, kernels }, i) => {
          const alone = seconds + (devices.length - 1) * kernels;
          expect(over[i]).toBeGreaterThanOrEqual((at + alone) * (1 - 1e-9));
        });
        const computing = work.filter(({ seconds, kernels }) => kernels === seconds);
        const total = computing.reduce((sum, { seconds, devices }) => sum + seconds * devices.length, 0);
        if (computing.length === work.length)
          expect(Math.max(...over)).toBeGreaterThanOrEqual(total * (1 - 1e-9));
      }),
    );
  });
});
