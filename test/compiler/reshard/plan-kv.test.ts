/**
 * KV re-shards, executed: every device has pages with ids of (sequence, layer, head, token), the moves are carried out
 * run by run between page tables of different page sizes, and the result must be what the next stage would have stored.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Interval, RankHolding } from '../../../compiler/ir/transitions.js';
import type { Topology } from '../../../compiler/plan/plan.js';
import {
  pageRuns,
  planKv,
  type KvMove,
  type KvPlan,
  type KvSequence,
} from '../../../compiler/reshard/plan-kv.js';
import { roadsOf, type Road, type Roads } from '../../../compiler/reshard/roads.js';
import {
  arbitraryMachine,
  arbitraryModel,
  arbitraryPlacement,
  makeMachine,
} from '../support/arbitrary-placement.js';
import { leastSeconds } from '../support/brute-force-sources.js';
import { executeKvMoves, firstPageDifference, pagesOf, type KvEnd } from '../support/kv-executor.js';
import { kindsOf, PAIR_KINDS } from '../support/pair-kinds.js';
import { slowestLane, trafficOf, transferSeconds, type Travel } from '../support/traffic.js';

const HEAD_BYTES = 8;

/** Token ranges of one to three requests, some of them of one request in two parts. */
const arbitraryRanges = fc.array(
  fc.record({
    start: fc.integer({ min: 0, max: 7 }),
    length: fc.integer({ min: 1, max: 13 }),
    replicas: fc.array(fc.nat(), { minLength: 3, maxLength: 3 }),
  }),
  { minLength: 1, maxLength: 3 },
);

const arbitraryPage = fc.integer({ min: 1, max: 6 });

/** Three placements of one model, with a page size each, on one machine. */
const arbitraryProblem = arbitraryModel.chain((model) =>
  fc.record({
    places: fc.tuple(arbitraryPlacement(model), arbitraryPlacement(model), arbitraryPlacement(model)),
    pages: fc.tuple(arbitraryPage, arbitraryPage, arbitraryPage),
    machine: arbitraryMachine,
    inTier: fc.boolean(),
    drawn: arbitraryRanges,
  }),
);

const replicas = (ranks: readonly RankHolding[]): number => Math.max(...ranks.map((rank) => rank.dp)) + 1;

/** The host tier beside each device. */
function tierOf({ topology, between }: Roads): (device: number) => Road | undefined {
  return (device) => {
    const { path, group } = topology.devices[device]!;
    return between(group === '' ? 'host' : `${group}.host`, path);
  };
}

interface Hop {
  readonly plan: KvPlan;
  readonly sequences: readonly KvSequence[];
  readonly from: KvEnd;
  readonly to: KvEnd;
}

type Drawn = typeof arbitraryProblem extends fc.Arbitrary<infer T> ? T : never;

/** The re-shard between two of the placements of a problem. */
function hop({ places, pages, drawn, inTier }: Drawn, roads: Roads, from: number, to: number): Hop {
  const sequences = drawn.map(({ start, length, replicas: draws }): KvSequence => ({
    tokens: [start, start + length],
    from: draws[from]! % replicas(places[from]!),
    to: draws[to]! % replicas(places[to]!),
  }));
  const plan = planKv(
    {
      from: places[from]!,
      to: places[to]!,
      pageTokens: { from: pages[from]!, to: pages[to]! },
      headBytes: HEAD_BYTES,
      sequences,
      ...(inTier && { tier: tierOf(roads) }),
    },
    roads,
  );
  const end = (index: number, which: 'from' | 'to'): KvEnd => ({
    ranks: places[index]!,
    replica: (sequence) => sequence[which],
    pageTokens: pages[index]!,
  });
  return { plan, sequences, from: end(from, 'from'), to: end(to, 'to') };
}

/** Two nodes without a network between them, and KV in no tier: then there is no way, and a move says `tier`. */
const stranded = ({ plan }: Hop, inTier: boolean): boolean =>
  !inTier && plan.moves.some((move) => move.kind === 'tier');

const travelOf = ({ device, bytes, kind, source }: KvMove): Travel => {
  return { device, bytes, kind: kind === 'tier' ? 'origin' : kind, ...(source !== undefined && { source }) };
};

describe('planned KV moves', () => {
  it('put every (sequence, layer, head, token) where the next stage looks for it, at the cost of the moves', () => {
    const kinds = new Set<string>();
    const pairs = new Set<string>();
    fc.assert(
      fc.property(arbitraryProblem, (problem) => {
        const roads = roadsOf(problem.machine);
        const there = hop(problem, roads, 0, 1);
        const { plan, sequences, from, to } = there;
        for (const move of plan.moves) kinds.add(move.kind);
        for (const kind of kindsOf(from.ranks, to.ranks)) pairs.add(kind);
        if (stranded(there, problem.inTier)) return;
        const after = executeKvMoves(pagesOf(from, sequences), plan.moves, sequences, to);
        expect(firstPageDifference(after, pagesOf(to, sequences))).toBeUndefined();

        const brought = plan.moves.filter((move) => move.kind === 'peer' || move.kind === 'tier');
        expect(brought.reduce((sum, move) => sum + move.bytes, 0)).toBe(plan.lowerBound);
        const traffic = trafficOf(plan.moves.map(travelOf), roads, tierOf(roads));
        expect(plan.cost.seconds).toBeCloseTo(slowestLane(traffic.laneBytes, roads), 9);
        expect(plan.cost.linkBytes).toBe(traffic.linkBytes);
        if (traffic.mostHops <= 1) expect(plan.cost.linkBytes).toBe(plan.lowerBound);
        expect(plan.cost.boundSeconds).toBeLessThanOrEqual(plan.cost.seconds * (1 + 1e-12));
      }),
      { numRuns: 2000 },
    );
    expect([...kinds].sort()).toEqual(['copy', 'keep', 'peer', 'tier']);
    expect([...pairs].sort()).toEqual(PAIR_KINDS);
  }, 60_000);

  it('bring everything back on a round trip, whatever the page sizes', () => {
    fc.assert(
      fc.property(arbitraryProblem, (problem) => {
        const roads = roadsOf(problem.machine);
        const there = hop(problem, roads, 0, 1);
        const back = hop(problem, roads, 1, 0);
        if (stranded(there, problem.inTier) || stranded(back, problem.inTier)) return;
        const start = pagesOf(there.from, there.sequences);
        const away = executeKvMoves(start, there.plan.moves, there.sequences, there.to);
        const home = executeKvMoves(away, back.plan.moves, back.sequences, back.to);
        expect(firstPageDifference(home, start)).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  }, 60_000);

  it('obey the triangle inequality in bytes, and in time where only the tier sends', () => {
    fc.assert(
      fc.property(arbitraryProblem, (drawn) => {
        const machine: Topology = makeMachine({ host: 10, latency: 0.5 });
        const roads = roadsOf(machine);
        const problem = { ...drawn, inTier: true };
        const [ab, bc, ac] = [
          hop(problem, roads, 0, 1).plan,
          hop(problem, roads, 1, 2).plan,
          hop(problem, roads, 0, 2).plan,
        ];
        expect(ac.lowerBound).toBeLessThanOrEqual(ab.lowerBound + bc.lowerBound);
        const longWay = transferSeconds(ab.cost) + transferSeconds(bc.cost);
        expect(transferSeconds(ac.cost)).toBeLessThanOrEqual(longWay + 1e-9);
      }),
      { numRuns: 1000 },
    );
  }, 60_000);

  it('take as long as the best of all combinations of sources on small cases', () => {
    // A rank holds one head of one layer, so that sources are all there is to choose.
    const layersOf = fc.array(fc.nat(1), { minLength: 8, maxLength: 8 });
    const ranks = (layers: readonly number[], devices: readonly number[]): readonly RankHolding[] =>
      devices.map((device) => ({
        device,
        dp: 0,
        pp: 0,
        tp: 0,
        weights: [],
        kv: { layers: [layers[device]!, layers[device]! + 1], heads: [0, 1] },
      }));
    const lengths = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 3 });
    let balanced = 0;
    fc.assert(
      fc.property(
        layersOf,
        layersOf,
        fc.nat(6),
        lengths,
        arbitraryMachine,
        fc.boolean(),
        (before, after, first, tokens, machine, inTier) => {
          const roads = roadsOf(machine);
          const from = ranks(before, [0, 1, 2, 3, 4, 5]);
          const to = ranks(after, [first, first + 1]);
          const sequences = tokens.map((end): KvSequence => ({ tokens: [0, end], from: 0, to: 0 }));
          const pageTokens = { from: 4, to: 4 };
          const tier = inTier ? tierOf(roads) : (): undefined => undefined;
          const plan = planKv({ from, to, pageTokens, headBytes: 1, sequences, tier }, roads);
          const lacks = to.flatMap(({ device, kv }) => {
            const holders = from
              .filter((rank) => rank.kv.layers[0] === kv.layers[0])
              .map((rank) => rank.device);
            return holders.includes(device) ? [] : tokens.map((bytes) => ({ device, bytes, holders }));
          });
          expect(plan.cost.seconds).toBeCloseTo(leastSeconds(lacks, roads, tier), 9);
          const used = new Set(plan.moves.map((move) => move.source ?? move.kind));
          if (used.size > 1) balanced++;
        },
      ),
      { numRuns: 400 },
    );
    expect(balanced).toBeGreaterThan(50);
  }, 60_000);

  it('stay where they are between stages with the same pages', () => {
    const ranks = (heads: readonly Interval[]): readonly RankHolding[] =>
      heads.map((range, device) => {
        return {
          device,
          dp: 0,
          pp: 0,
          tp: device,
          weights: [],
          kv: { layers: [0, 4] as const, heads: range },
        };
      });
    const halves = ranks([
      [0, 2],
      [2, 4],
    ]);
    const problem = {
      from: halves,
      to: halves,
      headBytes: 16,
      sequences: [{ tokens: [0, 5], from: 0, to: 0 }] as const,
    };
    const roads = roadsOf(makeMachine({ host: 10, peer: 10 }));
    const same = planKv({ ...problem, pageTokens: { from: 4, to: 4 } }, roads);
    expect(same.moves.map((move) => move.kind)).toEqual(['keep', 'keep']);
    expect(same.cost).toMatchObject({ links: [], seconds: 0 });
    const other = planKv({ ...problem, pageTokens: { from: 4, to: 8 } }, roads);
    expect(other.moves.map((move) => move.kind)).toEqual(['copy', 'copy']);
    expect(other.lowerBound).toBe(0);
  });
});

describe('page runs', () => {
  it('cut at the borders of both page sizes', () => {
    expect(pageRuns([0, 10], 4, 6).map((run) => run.tokens)).toEqual([
      [0, 4],
      [4, 6],
      [6, 8],
      [8, 10],
    ]);
    expect(pageRuns([5, 7], 4, 6)).toEqual([
      { tokens: [5, 6], from: { page: 1, slot: 1 }, to: { page: 0, slot: 5 } },
      { tokens: [6, 7], from: { page: 1, slot: 2 }, to: { page: 1, slot: 0 } },
    ]);
  });
});
