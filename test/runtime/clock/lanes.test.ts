/** Links on the clock: who waits for whom, and that no lane ever carries more than it can. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Topology } from '../../../compiler/plan/plan.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import { createLaneBook, freeFrom, freePart, freeUntil, take } from '../../../runtime/clock/lane-book.js';
import { createLanes, type Lanes, type LinkedWork } from '../../../runtime/clock/lanes.js';
import { makePlan } from '../../compiler/support/make-plan.js';

const BANDWIDTH = 100;

/** Devices joined with each other at 100 bytes a second without latency, and with the host at 50. */
function topology(): Topology {
  const { topology: made } = makePlan({ stages: [{ name: 'serve', mesh: { tp: 4 } }] });
  const links = made.links.map((link) => ({
    ...link,
    latency: 0,
    bandwidth: link.to === 'host' || link.from === 'host' ? BANDWIDTH / 2 : BANDWIDTH,
  }));
  return { ...made, links };
}

function lanesAt(time: () => number = () => 0): Lanes {
  return createLanes(roadsOf(topology()), time);
}

const gpu = (id: number): string => `gpu[${id}]`;

/** When a transfer of the first device is done. */
const send = (lanes: Lanes, to: string, bytes: number, ready = 0, from = gpu(0)): number =>
  lanes.transfer(lanes.roads.between(from, to)!, bytes, ready).end;

/** What the lanes carry is not declared, and not weights. */
const PLAIN = { capped: false, weights: false };

/** What one of the devices sends another. */
const SENT = {
  from: fc.nat({ max: 3 }),
  to: fc.nat({ max: 3 }),
  bytes: fc.integer({ min: 1, max: 500 }),
};

describe('lanes', () => {
  it('takes the sum of two transfers over one lane, the longer of two over two', () => {
    const one = lanesAt();
    expect([send(one, gpu(1), 200), send(one, gpu(2), 300)]).toEqual([2, 5]);
    const two = lanesAt();
    expect([send(two, gpu(1), 200), send(two, gpu(2), 300, 0, gpu(3))]).toEqual([2, 3]);
    // Both directions of a link at once.
    const both = lanesAt();
    expect([send(both, gpu(1), 200), send(both, gpu(0), 200, 0, gpu(1))]).toEqual([2, 2]);
  });

  it('carries weights as fast as the link says of them, beside other bytes', () => {
    const { links, ...rest } = topology();
    const own = links.map((link) => (link.to === 'host' ? { ...link, weights: 4 * link.bandwidth } : link));
    const lanes = createLanes(roadsOf({ ...rest, links: own }), () => 0);
    const load = (device: string, bytes: number, what?: 'weights'): number =>
      lanes.transfer(lanes.roads.between('host', device)!, bytes, 0, what).end;
    expect(load(gpu(0), 400, 'weights')).toBe(2);
    expect(load(gpu(0), 100)).toBe(4);
    expect(load(gpu(0), 400, 'weights')).toBe(6);
    // Over a link that says nothing of them they are as other bytes.
    const between = lanes.roads.between(gpu(1), gpu(2))!;
    expect(lanes.transfer(between, 200, 0, 'weights').end).toBe(2);
    const [used] = lanes.use();
    expect(used).toMatchObject({ place: gpu(0), bytes: 900, busy: 6 });
  });

  it('tells which ends of a link a lane leads from and to, whichever of them it is at', () => {
    const lanes = lanesAt();
    send(lanes, gpu(1), 100);
    send(lanes, 'host', 100);
    send(lanes, gpu(1), 100, 0, 'host');
    const used = lanes.use().map(({ place, direction, from, to }) => [place, direction, from, to]);
    expect(used).toEqual([
      [gpu(0), 'out', 'gpu', 'gpu'],
      [gpu(1), 'in', 'gpu', 'gpu'],
      [gpu(0), 'out', 'gpu', 'host'],
      [gpu(1), 'in', 'host', 'gpu'],
    ]);
  });

  it('says how long a transfer waits for weights on any of its lanes, and of nothing else', () => {
    const lanes = lanesAt();
    const wait = (from: string, to: string, bytes: number, what?: 'weights'): [number, number] => {
      const { start, behindWeights } = lanes.transfer(lanes.roads.between(from, to)!, bytes, 1, what);
      return [start, behindWeights];
    };
    expect(wait('host', gpu(0), 100, 'weights')).toEqual([1, 0]);
    expect(wait('host', gpu(0), 100)).toEqual([3, 2]);
    // Of these four seconds the last two are for the transfer before.
    expect(wait('host', gpu(0), 100)).toEqual([5, 2]);
    expect(wait(gpu(0), 'host', 100)).toEqual([1, 0]);
    expect(wait(gpu(0), 'host', 100)).toEqual([3, 0]);
  });

  it('says nothing of what it waits for other transfers before weights', () => {
    const lanes = lanesAt();
    const into = lanes.roads.between('host', gpu(0))!;
    expect(lanes.transfer(into, 100, 1)).toMatchObject({ start: 1, behindWeights: 0 });
    expect(lanes.transfer(into, 100, 1, 'weights')).toMatchObject({ start: 3, behindWeights: 0 });
    expect(lanes.transfer(into, 100, 1)).toMatchObject({ start: 5, behindWeights: 2 });
  });

  it('gives what a transfer leaves of a lane to others', () => {
    const lanes = lanesAt();
    const lane = lanes.roads.between(gpu(0), gpu(1))!.lanes[0]!;
    // Ten seconds, of which four are exchanges at full rate: 40% of the lane.
    const work: LinkedWork = { seconds: 10, exchange: 4, lanes: [{ lane, times: 2 }], bytes: 200, ...PLAIN };
    expect(lanes.share(work, 0)).toBe(10);
    expect(send(lanes, gpu(1), 600)).toBeCloseTo(10, 12);
    expect(send(lanes, gpu(1), 50)).toBeCloseTo(10.5, 12);
  });

  it('slows the exchanges of work by what others have of the lane, and nothing else of it', () => {
    const lanes = lanesAt();
    const lane = lanes.roads.between(gpu(0), gpu(1))!.lanes[0]!;
    lanes.share({ seconds: 100, exchange: 50, lanes: [{ lane, times: 1 }], bytes: 5000, ...PLAIN }, 0);
    const work: LinkedWork = { seconds: 10, exchange: 4, lanes: [{ lane, times: 2 }], bytes: 200, ...PLAIN };
    expect(lanes.share(work, 0)).toBeCloseTo(6 + 4 / 0.5, 12);
    // Behind a transfer that has all of it, work begins when that is over.
    expect(send(lanes, gpu(3), 300, 0, gpu(2))).toBe(3);
    const [other] = lanes.roads.between(gpu(2), gpu(3))!.lanes;
    expect(
      lanes.share({ seconds: 2, exchange: 1, lanes: [{ lane: other!, times: 1 }], bytes: 100, ...PLAIN }, 1),
    ).toBeCloseTo(5, 12);
  });

  it('lets exchanges cross a lane no faster than declared, nor longer', () => {
    const lanes = lanesAt();
    const lane = lanes.roads.between(gpu(0), gpu(1))!.lanes[0]!;
    const work = { seconds: 10, exchange: 4, lanes: [{ lane, times: 2 }], bytes: 300, ...PLAIN };
    expect(lanes.share({ ...work, capped: true }, 0)).toBe(10);
    // Every byte crosses it, and it is occupied for as long as declared.
    expect(lanes.use().map(({ bytes, busy }) => [bytes, busy])).toEqual([[600, 4]]);
    // A ring that crosses the lane twice takes as long as that takes.
    expect(lanes.share(work, 10)).toBe(10 + 6 + 6);
    expect(lanes.use().map(({ bytes, busy }) => [bytes, busy])).toEqual([[1200, 10]]);
  });

  it('does not wait on a wide lane for a narrow one', () => {
    const lanes = lanesAt();
    // 50 bytes a second from the host leave half of nothing else: the device's own links are other lanes.
    expect(send(lanes, gpu(0), 100, 0, 'host')).toBe(2);
    expect(send(lanes, gpu(0), 100, 0, gpu(1))).toBe(1);
  });

  it('never gives away more of a lane than there is, and carries every byte', () => {
    const asked = fc.record({
      ...SENT,
      /** Seconds that pass before it is asked for, and from then until it may begin. */
      after: fc.double({ min: 0, max: 3, noNaN: true }),
      later: fc.double({ min: 0, max: 3, noNaN: true }),
      /** Seconds beside the exchange, for work that is not a transfer alone. */
      beside: fc.option(fc.double({ min: 0, max: 5, noNaN: true })),
    });
    fc.assert(
      fc.property(fc.array(asked, { minLength: 1, maxLength: 30 }), (all) => {
        let now = 0;
        const lanes = lanesAt(() => now);
        const carried = new Map<number, number>();
        let last = 0;
        for (const { from, to, bytes, after, later, beside } of all) {
          if (from === to) continue;
          now += after;
          const ready = now + later;
          const road = lanes.roads.between(gpu(from), gpu(to))!;
          const alone = bytes / BANDWIDTH;
          const seconds = (beside ?? 0) + alone;
          const shares = road.lanes.map((lane) => ({ lane, times: 1 }));
          const end =
            beside === null
              ? lanes.transfer(road, bytes, ready).end
              : lanes.share({ seconds, exchange: alone, lanes: shares, bytes, ...PLAIN }, ready);
          expect(end).toBeGreaterThanOrEqual((ready + seconds) * (1 - 1e-12));
          for (const lane of road.lanes) carried.set(lane, (carried.get(lane) ?? 0) + bytes);
          last = Math.max(last, end);
        }
        for (const { link, place, direction, bytes, busy } of lanes.use()) {
          const lane = lanes.roads.lanes.findIndex(
            (each) => each.link === link && each.place === place && each.direction === direction,
          );
          expect(bytes).toBe(carried.get(lane));
          carried.delete(lane);
          expect(busy).toBeLessThanOrEqual(last * (1 + 1e-9));
        }
        expect(carried.size).toBe(0);
      }),
    );
  });

  it('carries what several send over a road as one transfer of all of it, whatever is on its lanes', () => {
    const sent = fc.record({
      ...SENT,
      ready: fc.double({ min: 0, max: 8, noNaN: true }),
      /** Of work that takes more time than its exchanges, so that they leave a part of the lane. */
      beside: fc.double({ min: 0, max: 5, noNaN: true }),
    });
    fc.assert(
      fc.property(
        fc.array(sent, { maxLength: 8 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 300 }),
        fc.double({ min: 0, max: 5, noNaN: true }),
        (before, ranks, bytes, ready) => {
          const busy = (): Lanes => {
            const lanes = lanesAt();
            for (const { from, to, bytes: own, ready: at, beside } of before) {
              const road = lanes.roads.between(gpu(from), gpu(to))!;
              const exchange = own / road.bandwidth;
              const shares = road.lanes.map((lane) => ({ lane, times: 1 }));
              lanes.share({ ...PLAIN, seconds: exchange + beside, exchange, lanes: shares, bytes: own }, at);
            }
            return lanes;
          };
          const [one, each, told] = [busy(), busy(), busy()];
          const road = (lanes: Lanes) => lanes.roads.between(gpu(0), gpu(1))!;
          const together = one.send(road(one), bytes * ranks, ready);
          let last = 0;
          for (let rank = 0; rank < ranks; rank++) last = each.send(road(each), bytes, ready);
          expect(together).toBeCloseTo(last, 6);
          expect(told.transfer(road(told), bytes * ranks, ready).end).toBe(together);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('books stretches that add up, and forgets none before it is over', () => {
    const stretch = fc.record({
      after: fc.nat({ max: 2 }),
      later: fc.nat({ max: 20 }),
      length: fc.integer({ min: 1, max: 10 }),
      all: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(stretch, { maxLength: 150 }), (asked) => {
        const book = createLaneBook();
        const seconds = Array.from({ length: 400 }, () => 0);
        const isLeft = (second: number): boolean => 1 - seconds[second]! >= 1e-9;
        let now = 0;
        for (const { after, later, length, all } of asked) {
          now += after;
          const from = now + later;
          for (let at = from; at < from + length;) {
            const to = Math.min(freeUntil(book, at), from + length);
            const part = all ? freePart(book, at) : freePart(book, at) / 2;
            take(book, at, to, part, now);
            for (let second = at; second < to; second++)
              seconds[second] = all ? 1 : seconds[second]! + (1 - seconds[second]!) / 2;
            at = to;
          }
          let free = now;
          while (!isLeft(free)) free++;
          expect(freeFrom(book, now)).toBe(free);
        }
        seconds.slice(now).forEach((taken, later) => {
          const second = now + later;
          expect(freePart(book, second + 0.5)).toBeCloseTo(isLeft(second) ? 1 - taken : 0, 12);
        });
      }),
    );
  });

  it('keeps what follows on itself as one stretch', () => {
    const book = createLaneBook();
    for (let second = 0; second < 100; second++) take(book, second, second + 1, 1, 0);
    expect(book.count).toBe(2);
    take(book, 100, 101, 0.5, 0);
    expect([freeFrom(book, 0), freePart(book, 100), freeUntil(book, 100)]).toEqual([100, 0.5, 101]);
  });
});
