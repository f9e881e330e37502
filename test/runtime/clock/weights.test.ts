/** What a transition that is announced brings near, and that it saves the transition just that. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { ringSizes, largestWeight } from '../../../compiler/ir/device-weights.js';
import { movesOfDevice } from '../../../compiler/ir/runtime-graph.js';
import { lastReads } from '../../../compiler/ir/weight-writes.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import type { Lanes } from '../../../runtime/clock/lanes.js';
import { stagingRoom } from '../../../runtime/clock/staging-room.js';
import type { VirtualClock } from '../../../runtime/clock/virtual-clock.js';
import { clockTransition, type ClockTransition } from '../../../runtime/clock/weights.js';
import { writtenWeights } from '../../../runtime/clock/written-weights.js';
import { makePlan } from '../../compiler/support/make-plan.js';
import { moveContext } from '../support/move-context.js';

const planWith = (peerBandwidth: number): Plan =>
  makePlan({
    shape: { layers: 8, hidden: 256, heads: 8, kvHeads: 4, headDim: 32, ffn: 512, vocab: 512 },
    peerBandwidth,
    stages: [
      { name: 'prefill', mesh: { pp: 4 }, microbatchTokens: 64 },
      { name: 'decode', mesh: { tp: 4 }, batchRequests: 8 },
    ],
  });
/** Devices receive what they can from each other; here nothing but the host has it. */
const plan = planWith(1);
const { runtime } = compilePlan(plan);
const transition = runtime.transitions.find(({ from }) => from === 'prefill')!;
const { uploadBytes } = movesOfDevice(transition, 0)!;

interface Stand {
  readonly clock: VirtualClock;
  readonly lanes: Lanes;
  readonly moving: ClockTransition;
}

function stand(room: number, fullReload = false, slot = 1): Stand {
  const context = moveContext(plan.topology, {
    room: () => ({ slot, ring: room, ahead: room }),
    fullReload,
  });
  return { ...context, moving: clockTransition(runtime, plan, transition, context) };
}

/** Bytes that the first device has got from the host. */
const uploadedTo = (lanes: Lanes): number =>
  lanes.use().find(({ link, place, direction }) => {
    return link === 'gpu <-> host' && place === 'gpu[0]' && direction === 'in';
  })?.bytes ?? 0;

const uploaded = ({ lanes }: Stand): number => uploadedTo(lanes);

/** Seconds of the device's moves, begun after everything that can come ahead of them. */
function secondsWith(room: number, fullReload = false): number {
  const all = stand(room, fullReload);
  all.moving.prepare(0);
  while (all.clock.advance());
  const began = all.clock.now();
  return all.moving.begin(0).course.end() - began;
}

/** When each weight is there that the device gets, in moves that begin at second 0. */
function arrivals(slot: number): readonly number[] {
  const { course, needs } = stand(0, false, slot).moving.begin(0);
  const weights = Math.max(...needs.values()) + 1;
  return Array.from({ length: weights }, (_, weight) => course.arrival(weight));
}

describe('a transition', () => {
  it('has a weight there once the slot of its last byte is full', () => {
    const [bytewise, inTwo, atOnce] = [arrivals(1), arrivals(uploadBytes / 2), arrivals(uploadBytes)];
    const end = bytewise.at(-1)!;
    // Some are only copied.
    expect(new Set(bytewise).size).toBeGreaterThan(0.9 * bytewise.length);
    expect(atOnce.every((each) => each === end)).toBe(true);
    expect(inTwo.at(-1)).toBe(end);
    const middle = inTwo[0]!;
    expect(inTwo.every((each, layer) => each === (bytewise[layer]! <= middle ? middle : end))).toBe(true);
    expect(middle / end).toBeCloseTo(0.5, 1);
  });

  it('has weights there by the slot that other devices send as well', () => {
    const near = planWith(2e10);
    const compiled = compilePlan(near).runtime;
    const moves = compiled.transitions.find(({ from }) => from === 'decode')!;
    const context = moveContext(near.topology, { room: () => ({ slot: 1024, ring: 4096, ahead: 0 }) });
    const { course, spans } = clockTransition(compiled, near, moves, context).begin(3);
    const brought = spans().reduce((sum, { bytes }) => sum + bytes, 0);
    expect(movesOfDevice(moves, 3)!.uploadBytes).toBeLessThan(brought / 2);
    const undelayed = moveContext(near.topology, { room: () => ({ slot: 1, ring: 4096, ahead: 0 }) });
    const byteByByte = clockTransition(compiled, near, moves, undelayed).begin(3);
    for (const weight of new Set(byteByByte.needs.values())) {
      const [there, pure] = [course.arrival(weight), byteByByte.course.arrival(weight)];
      expect(there).toBeGreaterThanOrEqual(pure);
      // A slot takes no longer than that.
      expect(there - pure).toBeLessThan(2e-7);
    }
  });
});

describe('a transition behind steps that exchange', () => {
  // The way back: what is left is the program of tp ranks.
  const back = runtime.transitions.find(({ from }) => from === 'decode')!;
  const bytes = movesOfDevice(back, 0)!.uploadBytes;
  const exchanges = runtime.stages
    .find(({ name }) => name === 'decode')!
    .programs[0]!.ops.filter(({ op }) => op === 'collective').length;

  interface Course {
    readonly uploaded: number;
    /** When each weight is there, and when the exchange was over that it waited for. */
    readonly arrivals: readonly number[];
    readonly gates: readonly number[];
    readonly end: number;
    readonly began: number;
  }

  /** @param opened times at which old steps are past one exchange after the other; all of it goes on at the last */
  function moved(opened: readonly number[], room: number, announced: boolean, looks = true): Course {
    const context = moveContext(plan.topology, { room: () => ({ slot: 256, ring: room, ahead: room }) });
    const { clock, lanes } = context;
    const moving = clockTransition(runtime, plan, back, context);
    const began = opened.at(-1)!;
    let begun: ReturnType<ClockTransition['begin']> | undefined;
    if (announced) moving.prepare(0);
    opened.forEach((time, exchange) => {
      clock.at(time, () => {
        if (time === began && exchange === opened.length - 1) begun = moving.begin(0);
        else if (looks) moving.open(0, exchange);
      });
    });
    while (clock.advance());
    const { course, needs } = begun!;
    const moves = back.moves[back.devices.find(({ device }) => device === 0)!.moves]!;
    const program = runtime.stages.find(({ name }) => name === 'decode')!.programs[0]!;
    const reads = lastReads(program.ops);
    let gate = -1;
    const gates = moves.writes!.map(({ behind }) => {
      const last = behind === undefined ? -1 : reads.get(behind)!;
      const before = program.ops.slice(0, last + 1).filter(({ op }) => op === 'collective').length;
      gate = Math.max(gate, last < 0 ? -1 : before);
      return gate < 0 ? 0 : Math.min(opened[gate] ?? began, began);
    });
    const count = Math.max(...needs.values()) + 1;
    const arrivals = Array.from({ length: count }, (_, weight) => course.arrival(weight));
    const uploaded = uploadedTo(lanes);
    return { uploaded, arrivals, gates, end: course.end(), began };
  }

  /** What copies within the device take is less of it all. */
  const PIECES = 1.001;
  const gaps = fc.array(fc.double({ min: 0, max: 4e-6, noNaN: true }), {
    minLength: exchanges + 1,
    maxLength: exchanges + 1,
  });
  const timesOf = (gaps: readonly number[]): readonly number[] => {
    let time = 0;
    return gaps.map((gap) => (time += gap));
  };

  it('writes nothing before they are past it, everything once, and in order', () => {
    fc.assert(
      fc.property(gaps, fc.integer({ min: 0, max: 2 * bytes }), fc.boolean(), (all, room, announced) => {
        const { uploaded, arrivals, gates } = moved(timesOf(all), room, announced);
        expect(uploaded).toBe(bytes);
        let last = 0;
        for (const [weight, there] of arrivals.entries()) {
          expect(there).toBeGreaterThanOrEqual(gates[weight]! - 1e-12);
          expect(there).toBeGreaterThanOrEqual(last);
          last = there;
        }
      }),
    );
  });

  it('is over no later than if it waited for the end of all steps', () => {
    fc.assert(
      fc.property(gaps, fc.integer({ min: 0, max: 2 * bytes }), fc.boolean(), (all, room, announced) => {
        const times = timesOf(all);
        const [early, late] = [moved(times, room, announced), moved(times, room, announced, false)];
        // What was staged in pieces is copied to its place in pieces.
        expect(early.end).toBeLessThanOrEqual(late.end * PIECES);
        for (const [weight, there] of early.arrivals.entries())
          expect(there).toBeLessThanOrEqual(late.arrivals[weight]! * PIECES);
      }),
    );
  });

  it('brings near as much again as is gone from the ring, where a portion filled that just', () => {
    const [rank, old] = ['prefill', 'decode'].map((stage) => {
      const { ranks, shards, programs } = runtime.stages.find(({ name }) => name === stage)!;
      const { shard, program } = ranks.find(({ device }) => device === 0)!;
      return { shard: shards[shard]!, program: programs[program]! };
    });
    const { portions } = writtenWeights(rank!.shard, movesOfDevice(back, 0)!, rank!.program, old!.program);
    const [first, second] = portions;
    const room = first!.upload;
    expect(second!.upload).toBeGreaterThan(room);
    expect(second!.copy).toBeGreaterThan(0);
    const context = moveContext(plan.topology, { room: () => ({ slot: 256, ring: room, ahead: room }) });
    const moving = clockTransition(runtime, plan, back, context);
    const all = (): void => {
      while (context.clock.advance());
    };
    // However often it is looked whether there is room for more.
    for (let look = 0; look < 3; look++) {
      moving.prepare(0);
      all();
    }
    expect(uploadedTo(context.lanes)).toBe(room);
    moving.open(0, first!.behind);
    all();
    expect(uploadedTo(context.lanes)).toBe(2 * room);
  });

  it('is over sooner the sooner they are past most of what lies there', () => {
    const steps = Array.from({ length: exchanges + 1 }, () => 2e-6);
    const [early, late] = [moved(timesOf(steps), 0, false), moved(timesOf(steps), 0, false, false)];
    expect(early.end).toBeLessThan(late.end - 1e-6);
  });
});

describe('a transition that is announced', () => {
  it('has its uploads near, as far as there is room', () => {
    expect(uploadBytes).toBeGreaterThan(0);
    const none = stand(0);
    none.moving.prepare(0);
    while (none.clock.advance());
    expect(uploaded(none)).toBe(0);
    const some = stand(uploadBytes / 4);
    some.moving.prepare(0);
    while (some.clock.advance());
    expect(uploaded(some)).toBeGreaterThan(0);
    expect(uploaded(some)).toBeLessThanOrEqual(uploadBytes / 4);
    some.moving.begin(0);
    expect(uploaded(some)).toBe(uploadBytes);
  });

  it('is over sooner, the more room there was', () => {
    const [none, some, all] = [secondsWith(0), secondsWith(uploadBytes / 4), secondsWith(4 * uploadBytes)];
    expect(some).toBeLessThan(none);
    expect(all).toBeLessThan(some);
    // What is near already goes to its place by a copy on the device.
    expect(all).toBeGreaterThan(0);
  });

  it('brings near what it can until its moves begin, and nothing twice', () => {
    const early = stand(4 * uploadBytes);
    early.moving.prepare(0);
    for (let events = 0; events < 3; events++) early.clock.advance();
    const ahead = uploaded(early);
    expect(ahead).toBeLessThan(uploadBytes);
    const { course } = early.moving.begin(0);
    while (early.clock.advance());
    expect(uploaded(early)).toBe(uploadBytes);
    expect(course.end()).toBeGreaterThan(early.clock.now());
  });

  it('brings nothing near for an engine that loads everything', () => {
    expect(secondsWith(4 * uploadBytes, true)).toBe(secondsWith(0, true));
  });

  it('has its uploads from disk where the host has no room for the model', () => {
    const [host] = plan.topology.tiers;
    const disk = { ...host!, path: 'nvme', name: 'nvme', medium: 'disk' as const, directory: '/nowhere' };
    const link = plan.topology.links.find(({ to }) => to === 'host')!;
    const onDisk = (capacity: number): readonly string[] => {
      const topology = {
        ...plan.topology,
        tiers: [{ ...host!, capacity }, disk],
        links: [...plan.topology.links, { ...link, from: 'host', to: 'nvme' }],
      };
      const compiled = compilePlan({ ...plan, topology }).runtime;
      const moves = compiled.transitions.find(({ from }) => from === 'prefill')!;
      const context = moveContext(topology);
      clockTransition(compiled, { ...plan, topology }, moves, context).begin(0);
      return context.lanes.use().map((each) => each.link);
    };
    expect(onDisk(2 ** 30)).not.toContain('host <-> nvme');
    expect(onDisk(2 ** 20)).toContain('host <-> nvme');
  });

  it('has the room of the executor’s ring and of memory that nothing else uses', () => {
    const { slots, slotBytes } = ringSizes(
      largestWeight(runtime.stages.map(({ name, shards }) => ({ name, weights: shards[0]!.weights }))),
    );
    const full = {
      ...runtime,
      devices: runtime.devices.map((each) => ({ ...each, budget: each.peak.total })),
    };
    expect(stagingRoom(full)(0)).toEqual({
      slot: slotBytes,
      ring: slots * slotBytes,
      ahead: slots * slotBytes,
    });
    const spare = full.devices.map((each) => ({ ...each, budget: each.peak.total + 2.5 * slotBytes }));
    expect(stagingRoom({ ...full, devices: spare })(0)).toEqual({
      slot: slotBytes,
      ring: slots * slotBytes,
      ahead: (slots + 2) * slotBytes,
    });
  });
});
