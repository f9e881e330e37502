/** Planned weight moves, executed on element ids for random placements and machines; and their cost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { area } from '../../../compiler/ir/rectangles.js';
import type { RankHolding, TensorPiece, WeightMove } from '../../../compiler/ir/transitions.js';
import { planWeights } from '../../../compiler/reshard/plan-weights.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import { weightSources } from '../../../compiler/reshard/weight-source.js';
import {
  arbitraryMachine,
  arbitraryModel,
  arbitraryPlacement,
  makeMachine,
  placeModel,
} from '../support/arbitrary-placement.js';
import { leastSeconds } from '../support/brute-force-sources.js';
import { executeMoves, firstDifference, memoriesOf } from '../support/move-executor.js';
import { kindsOf, PAIR_KINDS } from '../support/pair-kinds.js';
import { slowestLane, trafficOf, transferSeconds, type Travel } from '../support/traffic.js';
import { movesOf } from '../support/reshard-moves.js';

const ELEMENT_BYTES = 4;
const pieceBytes = (piece: TensorPiece): number => area(piece) * ELEMENT_BYTES;

const arbitraryPair = arbitraryModel.chain((model) =>
  fc.tuple(arbitraryPlacement(model), arbitraryPlacement(model)),
);
const arbitraryTriple = arbitraryModel.chain((model) =>
  fc.tuple(arbitraryPlacement(model), arbitraryPlacement(model), arbitraryPlacement(model)),
);

function elements(holdings: readonly RankHolding[]): number {
  return holdings.flatMap((rank) => rank.weights).reduce((sum, piece) => sum + area(piece), 0);
}

function modelBytes(holdings: readonly RankHolding[]): number {
  const corner = new Map<string, number>();
  for (const { tensor, rows, cols } of holdings.flatMap((rank) => rank.weights))
    corner.set(tensor, Math.max(corner.get(tensor) ?? 0, rows[1] * cols[1]));
  return [...corner.values()].reduce((sum, size) => sum + size, 0) * ELEMENT_BYTES;
}

const travelOf = ({ device, bytes, kind, source }: WeightMove): Travel => {
  return {
    device,
    bytes,
    kind: kind === 'upload' ? 'origin' : kind,
    ...(source !== undefined && { source }),
  };
};

describe('planned moves', () => {
  it('leave every device with what it needs, each element once, at the cost of the moves', () => {
    const kinds = new Set<string>();
    const pairs = new Set<string>();
    fc.assert(
      fc.property(arbitraryPair, arbitraryMachine, ([from, to], machine) => {
        const roads = roadsOf(machine);
        const plan = planWeights(from, to, pieceBytes, roads);
        const moves = movesOf(plan);
        for (const move of moves) kinds.add(move.kind);
        for (const kind of kindsOf(from, to)) pairs.add(kind);
        const after = executeMoves(memoriesOf(from), moves, to);
        expect(firstDifference(after, memoriesOf(to))).toBeUndefined();

        const { keep, copy, peer, upload, evict } = plan.bytes;
        expect(peer + upload).toBe(plan.lowerBound);
        expect(keep + copy + peer + upload).toBe(elements(to) * ELEMENT_BYTES);
        const shared = from.filter((rank) => to.some((other) => other.device === rank.device));
        expect(keep + copy + evict).toBe(elements(shared) * ELEMENT_BYTES);

        const sized = moves.every((move) => move.bytes === area(move.piece) * ELEMENT_BYTES);
        expect(sized).toBe(true);
        const origin = weightSources(roads, { modelBytes: modelBytes(from), kvBytes: 0 });
        const traffic = trafficOf(moves.map(travelOf), roads, origin);
        const seconds = slowestLane(traffic.laneBytes, roads);
        expect(plan.cost.seconds).toBeCloseTo(seconds, 9);
        expect(plan.cost.linkBytes).toBe(traffic.linkBytes);
        // A byte moves twice only where no road has one hop.
        if (traffic.mostHops <= 1) expect(plan.cost.linkBytes).toBe(plan.lowerBound);
        expect(plan.cost.boundSeconds).toBeLessThanOrEqual(plan.cost.seconds * (1 + 1e-12));
        const busiest = plan.cost.links.map((link) => link.busiest.seconds);
        expect(Math.max(0, ...busiest)).toBeCloseTo(seconds, 9);
      }),
      { numRuns: 2000 },
    );
    expect([...kinds].sort()).toEqual(['copy', 'keep', 'peer', 'upload']);
    expect([...pairs].sort()).toEqual(PAIR_KINDS);
  }, 120_000);

  it('bring everything back on a round trip', () => {
    fc.assert(
      fc.property(arbitraryPair, arbitraryMachine, ([a, b], machine) => {
        const roads = roadsOf(machine);
        const there = planWeights(a, b, pieceBytes, roads);
        const back = planWeights(b, a, pieceBytes, roads);
        const home = executeMoves(executeMoves(memoriesOf(a), movesOf(there), b), movesOf(back), a);
        expect(firstDifference(home, memoriesOf(a))).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  }, 60_000);

  it('obey the triangle inequality in bytes, and in time where only the host sends', () => {
    fc.assert(
      fc.property(arbitraryTriple, ([a, b, c]) => {
        const roads = roadsOf(makeMachine({ host: 10, latency: 0.5 }));
        const plan = (
          from: readonly RankHolding[],
          to: readonly RankHolding[],
        ): ReturnType<typeof planWeights> => planWeights(from, to, pieceBytes, roads);
        const onShared = (to: readonly RankHolding[]): readonly RankHolding[] =>
          to.filter((rank) =>
            [a, b, c].every((stage) => stage.some((other) => other.device === rank.device)),
          );
        const [ab, bc, ac] = [plan(a, onShared(b)), plan(b, onShared(c)), plan(a, onShared(c))];
        expect(ac.lowerBound).toBeLessThanOrEqual(ab.lowerBound + bc.lowerBound);
        const times = [ab, bc, ac].map((found) => transferSeconds(found.cost));
        expect(times[2]!).toBeLessThanOrEqual(times[0]! + times[1]! + 1e-9);
      }),
      { numRuns: 1000 },
    );
  }, 60_000);

  it('take as long as the best of all combinations of sources on small cases', () => {
    // Every tensor is on a device whole or not at all, so that sources are all there is to choose.
    const sizes = [3, 8, 5, 13];
    const cells = fc.array(fc.subarray([0, 1, 2, 3]), { minLength: 8, maxLength: 8 });
    const place = (
      held: readonly (readonly number[])[],
      devices: readonly number[],
    ): readonly RankHolding[] =>
      devices.map((device) => ({
        device,
        dp: 0,
        pp: 0,
        tp: 0,
        weights: held[device]!.map((cell) => ({ tensor: `${cell}`, rows: [0, sizes[cell]!], cols: [0, 1] })),
        kv: { layers: [0, 1], heads: [0, 1] },
      }));
    let balanced = 0;
    fc.assert(
      fc.property(cells, cells, fc.nat(5), arbitraryMachine, (before, after, first, machine) => {
        const roads = roadsOf(machine);
        const from = place(before, [0, 1, 2, 3, 4, 5, 6, 7]);
        const to = place(after, [first, first + 1, first + 2]);
        const plan = planWeights(from, to, area, roads);
        const lacks = to.flatMap(({ device, weights }) =>
          weights
            .filter((piece) => !before[device]!.includes(Number(piece.tensor)))
            .map((piece) => ({
              device,
              bytes: area(piece),
              holders: from
                .filter((rank) => rank.weights.some((held) => held.tensor === piece.tensor))
                .map((rank) => rank.device),
            })),
        );
        const ways = lacks.reduce((product, lack) => product * (1 + lack.holders.length), 1);
        fc.pre(ways <= 4000);
        const origin = weightSources(roads, { modelBytes: modelSize(from, to), kvBytes: 0 });
        expect(plan.cost.seconds).toBeCloseTo(leastSeconds(lacks, roads, origin), 9);
        if (plan.bytes.peer > 0 && plan.bytes.upload > 0) balanced++;
      }),
      { numRuns: 400 },
    );
    expect(balanced).toBeGreaterThan(50);

    function modelSize(...ends: readonly (readonly RankHolding[])[]): number {
      const tensors = new Set(ends.flat().flatMap((rank) => rank.weights.map((piece) => piece.tensor)));
      return [...tensors].reduce((sum, tensor) => sum + sizes[Number(tensor)]!, 0);
    }
  }, 60_000);

  it('move nothing between equal placements', () => {
    fc.assert(
      fc.property(arbitraryPair, ([a]) => {
        const plan = planWeights(a, a, pieceBytes, roadsOf(makeMachine({ host: 10 })));
        expect(plan.lowerBound).toBe(0);
        expect(plan.cost).toEqual({ links: [], seconds: 0, boundSeconds: 0, linkBytes: 0 });
      }),
      { numRuns: 50 },
    );
  });
});

const MODEL = { layers: 4, kvHeads: 4, vocab: 8 };
const PP4 = placeModel(MODEL, { dp: 1, pp: 4, tp: 1 }, [0, 1, 2, 3], [1, 1, 1, 1]);
const TP4 = placeModel(MODEL, { dp: 1, pp: 1, tp: 4 }, [0, 1, 2, 3], [4]);
const TP4_ELSEWHERE = placeModel(MODEL, { dp: 1, pp: 1, tp: 4 }, [4, 5, 6, 7], [4]);

describe('the source of what is missing', () => {
  const bytesOf = (
    from: readonly RankHolding[],
    to: readonly RankHolding[],
    options: Parameters<typeof makeMachine>[0],
  ) => planWeights(from, to, pieceBytes, roadsOf(makeMachine(options)));

  it('is the host where devices are linked no better', () => {
    for (const peer of [undefined, 5, 10]) {
      const { bytes } = bytesOf(PP4, TP4, { host: 10, ...(peer === undefined ? {} : { peer }) });
      expect(bytes.peer).toBe(0);
      expect(bytes.upload).toBeGreaterThan(0);
    }
  });

  it('is mostly the other devices where those are nearer, the host helping', () => {
    const { bytes, cost } = bytesOf(PP4, TP4, { host: 10, peer: 90 });
    expect(bytes.peer).toBeGreaterThan(4 * bytes.upload);
    expect(cost.seconds).toBeLessThan(1.1 * cost.boundSeconds);
    const alone = bytesOf(PP4, TP4, { host: 10 });
    expect(cost.seconds).toBeLessThan(alone.cost.seconds / 5);
    expect(cost.links.map((link) => `${link.link}: ${link.from} to ${link.to}`)).toContain(
      'gpu <-> gpu: gpu to gpu',
    );
  });

  it('is the devices that have it where no host is', () => {
    const { bytes, lowerBound, cost } = bytesOf(PP4, TP4_ELSEWHERE, { peer: 5 });
    expect(bytes).toMatchObject({ keep: 0, copy: 0, upload: 0, peer: lowerBound });
    expect(cost.linkBytes).toBe(lowerBound);
  });

  it('is the disk where host memory has no room and no device has it, every byte moved twice', () => {
    const { bytes, lowerBound, cost } = bytesOf([], TP4, { host: 10, disk: true });
    expect(bytes.upload).toBe(lowerBound);
    expect(cost.linkBytes).toBe(2 * lowerBound);
    // The one disk is shared by all devices, a device's own link is not.
    const disk = cost.links.find((link) => link.link === 'host <-> nvme')!;
    expect(disk.busiest).toMatchObject({ place: 'nvme', bytes: lowerBound, seconds: lowerBound / 5 });
  });

  it('is another device by way of the host rather than a slower disk', () => {
    const { bytes, lowerBound, cost } = bytesOf(PP4, TP4, { host: 10, disk: true });
    expect(bytes.peer).toBeGreaterThan(bytes.upload);
    expect(cost.linkBytes).toBe(2 * lowerBound);
    expect(cost.seconds).toBeLessThan(lowerBound / 5);
  });

  it('is within the node rather than across the network', () => {
    const both = placeModel(MODEL, { dp: 2, pp: 2, tp: 2 }, [0, 1, 2, 3, 4, 5, 6, 7], [2, 2]);
    const turned = placeModel(MODEL, { dp: 2, pp: 1, tp: 4 }, [0, 1, 2, 3, 4, 5, 6, 7], [4]);
    const plan = bytesOf(both, turned, { host: 1, peer: 50, nodes: 2 });
    const peers = movesOf(plan).filter((move) => move.kind === 'peer');
    expect(peers.length).toBeGreaterThan(0);
    const across = peers.filter((move) => move.source! < 4 !== move.device < 4);
    const bytes = (list: typeof peers): number => list.reduce((sum, move) => sum + move.bytes, 0);
    expect(bytes(across)).toBeLessThan(bytes(peers) / 4);
    expect(plan.cost.seconds).toBeLessThan(2 * plan.cost.boundSeconds);
  });
});
