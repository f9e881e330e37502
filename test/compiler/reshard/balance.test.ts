/** The choice of roads against brute force, and against the bound for many loads. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { balance, boundSeconds, laneSeconds, type Load } from '../../../compiler/reshard/balance.js';
import type { Lane, Road } from '../../../compiler/reshard/roads.js';

const arbitraryLanes: fc.Arbitrary<readonly Lane[]> = fc.array(
  fc.record({
    link: fc.constant('gpu <-> gpu'),
    place: fc.constant('gpu'),
    direction: fc.constant('in' as const),
    from: fc.constant('gpu'),
    to: fc.constant('gpu'),
    bandwidth: fc.constantFrom(1, 2, 5, 10),
    latency: fc.constantFrom(0, 1),
  }),
  { minLength: 2, maxLength: 5 },
);

function roadOver(lanes: readonly number[]): Road {
  return { hops: [{ link: 'gpu <-> gpu', from: 'gpu', to: 'gpu', lanes }], lanes, bandwidth: 1, latency: 0 };
}

function arbitraryLoads(lanes: number, count: number): fc.Arbitrary<readonly Load[]> {
  const road = fc.uniqueArray(fc.nat(lanes - 1), { minLength: 1, maxLength: 2 }).map(roadOver);
  return fc.array(
    fc.record({
      bytes: fc.integer({ min: 1, max: 40 }),
      roads: fc.array(road, { minLength: 1, maxLength: 3 }),
    }),
    { minLength: 1, maxLength: count },
  );
}

function seconds(loads: readonly Load[], picks: readonly number[], lanes: readonly Lane[]): number {
  const bytes = lanes.map(() => 0);
  loads.forEach((load, index) => {
    for (const lane of load.roads[picks[index]!]!.lanes) bytes[lane]! += load.bytes;
  });
  return Math.max(...lanes.map((lane, id) => laneSeconds(lane, bytes[id]!)));
}

/** Least time over every combination. */
function bruteForce(loads: readonly Load[], lanes: readonly Lane[]): number {
  const combinations = loads.reduce<number[][]>(
    (all, load) => all.flatMap((picks) => load.roads.map((_, pick) => [...picks, pick])),
    [[]],
  );
  return Math.min(...combinations.map((picks) => seconds(loads, picks, lanes)));
}

describe('balance', () => {
  it('equals brute force on few loads, and says the time of its own choice', () => {
    fc.assert(
      fc.property(
        arbitraryLanes.chain((lanes) => fc.tuple(fc.constant(lanes), arbitraryLoads(lanes.length, 6))),
        ([lanes, loads]) => {
          const found = balance(loads, lanes);
          expect(found.seconds).toBe(seconds(loads, found.picks, lanes));
          expect(found.seconds).toBe(bruteForce(loads, lanes));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('is exact for few loads with many roads each', () => {
    // Two devices lack the same three parts; each may take them from its host, from a neighbour, or from any of four
    // devices of another node, whose roads share one lane.
    const lane = (place: string, bandwidth: number): Lane => {
      return { link: 'l', place, direction: 'in', from: 'a', to: 'b', bandwidth, latency: 0 };
    };
    const lanes = [
      lane('host of a', 10),
      lane('host of b', 10),
      lane('node', 40),
      lane('neighbour', 20),
      lane('a', 20),
      lane('b', 20),
    ];
    const remote = [2, 2, 2, 2].map((id) => roadOver([id]));
    const loads = [0, 1].flatMap((device) =>
      [1, 3, 4].map((bytes): Load => {
        return { bytes, roads: [roadOver([device]), ...remote, roadOver([3, 4 + device])] };
      }),
    );
    expect(balance(loads, lanes).seconds).toBe(bruteForce(loads, lanes));
  });

  it('never beats the bound', () => {
    fc.assert(
      fc.property(
        arbitraryLanes.chain((lanes) => fc.tuple(fc.constant(lanes), arbitraryLoads(lanes.length, 40))),
        ([lanes, loads]) => {
          const placed = loads.map((load, index) => ({ ...load, destination: index % 3 }));
          expect(boundSeconds(placed, lanes)).toBeLessThanOrEqual(balance(loads, lanes).seconds + 1e-9);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('comes within a tenth of the bound where many loads share two lanes', () => {
    const lane = { link: 'l', place: 'p', direction: 'in', from: 'a', to: 'b', latency: 0 } as const;
    const lanes: readonly Lane[] = [
      { ...lane, bandwidth: 9 },
      { ...lane, bandwidth: 1 },
    ];
    const loads = Array.from({ length: 200 }, (_, index) => ({
      bytes: 1 + (index % 7),
      roads: [roadOver([1]), roadOver([0])],
      destination: 0,
    }));
    const bound = boundSeconds(loads, lanes);
    expect(bound).toBeCloseTo(loads.reduce((sum, load) => sum + load.bytes, 0) / 10, 9);
    expect(balance(loads, lanes).seconds).toBeLessThan(1.1 * bound);
  });
});
