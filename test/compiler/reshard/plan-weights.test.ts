/** Planned weight moves, executed on element ids for random placements and machines; and their cost. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { area } from '../../../compiler/ir/rectangles.js';
import type { RankHolding } from '../../../compiler/ir/transitions.js';
import { laneSeconds } from '../../../compiler/reshard/balance.js';
import { planWeights } from '../../../compiler/reshard/plan-weights.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import {
  arbitraryMachine,
  arbitraryModel,
  arbitraryPlacement,
  makeMachine,
  placeModel,
} from '../support/arbitrary-placement.js';
import { executeMoves, firstDifference, memoriesOf, trafficOf } from '../support/move-executor.js';

const ELEMENT_BYTES = 4;

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

describe('planned moves', () => {
  it('leave every device with what it needs, each element once, at the cost of the moves', () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(arbitraryPair, arbitraryMachine, ([from, to], machine) => {
        const roads = roadsOf(machine);
        const plan = planWeights(from, to, ELEMENT_BYTES, roads);
        for (const move of plan.moves) kinds.add(move.kind);
        const after = executeMoves(memoriesOf(from), plan.moves, to);
        expect(firstDifference(after, memoriesOf(to))).toBeUndefined();

        const { keep, copy, peer, upload, evict } = plan.bytes;
        expect(peer + upload).toBe(plan.lowerBound);
        expect(keep + copy + peer + upload).toBe(elements(to) * ELEMENT_BYTES);
        const shared = from.filter((rank) => to.some((other) => other.device === rank.device));
        expect(keep + copy + evict).toBe(elements(shared) * ELEMENT_BYTES);

        const { laneBytes, linkBytes } = trafficOf(plan.moves, roads, ELEMENT_BYTES, modelBytes(from));
        const seconds = Math.max(
          0,
          ...laneBytes.map((bytes, lane) => laneSeconds(roads.lanes[lane]!, bytes)),
        );
        expect(plan.cost.seconds).toBeCloseTo(seconds, 9);
        expect(plan.cost.linkBytes).toBe(linkBytes);
        expect(plan.cost.boundSeconds).toBeLessThanOrEqual(plan.cost.seconds * (1 + 1e-12));
        const busiest = plan.cost.links.map((link) => link.busiest.seconds);
        expect(Math.max(0, ...busiest)).toBeCloseTo(seconds, 9);
      }),
      { numRuns: 1500 },
    );
    expect([...kinds].sort()).toEqual(['copy', 'keep', 'peer', 'upload']);
  }, 120_000);

  it('bring everything back on a round trip', () => {
    fc.assert(
      fc.property(arbitraryPair, arbitraryMachine, ([a, b], machine) => {
        const roads = roadsOf(machine);
        const there = planWeights(a, b, ELEMENT_BYTES, roads);
        const back = planWeights(b, a, ELEMENT_BYTES, roads);
        const home = executeMoves(executeMoves(memoriesOf(a), there.moves, b), back.moves, a);
        expect(firstDifference(home, memoriesOf(a))).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  it('obey the triangle inequality in bytes, and in time where only the host sends', () => {
    fc.assert(
      fc.property(arbitraryTriple, ([a, b, c]) => {
        const roads = roadsOf(makeMachine({ host: 10, latency: 0.5 }));
        const plan = (
          from: readonly RankHolding[],
          to: readonly RankHolding[],
        ): ReturnType<typeof planWeights> => planWeights(from, to, ELEMENT_BYTES, roads);
        const onShared = (to: readonly RankHolding[]): readonly RankHolding[] =>
          to.filter((rank) =>
            [a, b, c].every((stage) => stage.some((other) => other.device === rank.device)),
          );
        const [ab, bc, ac] = [plan(a, onShared(b)), plan(b, onShared(c)), plan(a, onShared(c))];
        expect(ac.lowerBound).toBeLessThanOrEqual(ab.lowerBound + bc.lowerBound);
        const transfer = (of: typeof ac): number => (of.lowerBound === 0 ? 0 : of.cost.boundSeconds);
        expect(transfer(ac)).toBeLessThanOrEqual(transfer(ab) + transfer(bc) + 1e-9);
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  it('move nothing between equal placements', () => {
    fc.assert(
      fc.property(arbitraryPair, ([a]) => {
        const plan = planWeights(a, a, 2, roadsOf(makeMachine({ host: 10 })));
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
  ) => planWeights(from, to, 4, roadsOf(makeMachine(options)));

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
    const { moves, cost } = bytesOf(both, turned, { host: 1, peer: 50, nodes: 2 });
    const peers = moves.filter((move) => move.kind === 'peer');
    expect(peers.length).toBeGreaterThan(0);
    const across = peers.filter((move) => move.source! < 4 !== move.device < 4);
    const bytes = (list: typeof peers): number => list.reduce((sum, move) => sum + move.bytes, 0);
    expect(bytes(across)).toBeLessThan(bytes(peers) / 4);
    expect(cost.seconds).toBeLessThan(2 * cost.boundSeconds);
  });
});
