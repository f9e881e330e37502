/**
 * KV re-shards, executed: every device has pages with ids of (sequence, layer, head, token), the moves are carried out
 * run by run between page tables of different page sizes, and the result must be what the next stage would have stored.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Interval, RankHolding } from '../../../compiler/ir/transitions.js';
import { pageRuns, planKv, type KvMove, type KvSequence } from '../../../compiler/reshard/plan-kv.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import {
  arbitraryMachine,
  arbitraryModel,
  arbitraryPlacement,
  makeMachine,
} from '../support/arbitrary-placement.js';

/** Ids by `sequence page layer head slot`, layer and head counted from the first that the rank holds. */
type Pages = Map<string, number>;

const idOf = (sequence: number, layer: number, head: number, token: number): number =>
  ((sequence * 64 + layer) * 64 + head) * 64 + token;

const slotKey = (
  sequence: number,
  rank: RankHolding,
  layer: number,
  head: number,
  page: number,
  slot: number,
): string => [sequence, page, layer - rank.kv.layers[0], head - rank.kv.heads[0], slot].join(' ');

function each([start, end]: Interval, visit: (index: number) => void): void {
  for (let index = start; index < end; index++) visit(index);
}

/** What a stage's ranks have in their pages for the sequences of their replica. */
function pagesOf(
  ranks: readonly RankHolding[],
  sequences: readonly KvSequence[],
  end: 'from' | 'to',
  pageTokens: number,
): Map<number, Pages> {
  return new Map(
    ranks.map((rank) => {
      const pages: Pages = new Map();
      sequences.forEach((sequence, index) => {
        if (sequence[end] !== rank.dp) return;
        each(rank.kv.layers, (layer) =>
          each(rank.kv.heads, (head) =>
            each([0, sequence.tokens], (token) => {
              const key = slotKey(
                index,
                rank,
                layer,
                head,
                Math.floor(token / pageTokens),
                token % pageTokens,
              );
              pages.set(key, idOf(index, layer, head, token));
            }),
          ),
        );
      });
      return [rank.device, pages];
    }),
  );
}

function execute(
  before: ReadonlyMap<number, Pages>,
  moves: readonly KvMove[],
  from: readonly RankHolding[],
  to: readonly RankHolding[],
  pageTokens: { readonly from: number; readonly to: number },
): Map<number, Pages> {
  const after = new Map<number, Pages>(to.map(({ device }) => [device, new Map<string, number>()]));
  for (const { sequence, device, layers, heads, tokens, kind, source } of moves) {
    const target = to.find((rank) => rank.device === device)!;
    const sender = from.find((rank) => rank.device === (source ?? device));
    for (const run of pageRuns(tokens, pageTokens.from, pageTokens.to)) {
      if (kind === 'keep') expect(run.from).toEqual(run.to);
      each(layers, (layer) =>
        each(heads, (head) =>
          each([0, run.tokens[1] - run.tokens[0]], (step) => {
            const key = slotKey(sequence, target, layer, head, run.to.page, run.to.slot + step);
            expect(after.get(device)!.has(key)).toBe(false);
            const old =
              kind === 'tier' || !sender
                ? undefined
                : slotKey(sequence, sender, layer, head, run.from.page, run.from.slot + step);
            const id =
              old === undefined
                ? idOf(sequence, layer, head, run.tokens[0] + step)
                : before.get(sender!.device)!.get(old);
            if (id === undefined) throw new Error(`${kind} of what device ${source ?? device} does not have`);
            after.get(device)!.set(key, id);
          }),
        ),
      );
    }
  }
  return after;
}

const arbitraryProblem = arbitraryModel.chain((model) =>
  fc.record({
    from: arbitraryPlacement(model),
    to: arbitraryPlacement(model),
    machine: arbitraryMachine,
    pages: fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 })),
    inTier: fc.boolean(),
    drawn: fc.array(fc.tuple(fc.integer({ min: 1, max: 13 }), fc.nat(), fc.nat()), {
      minLength: 1,
      maxLength: 3,
    }),
  }),
);

const replicas = (ranks: readonly RankHolding[]): number => Math.max(...ranks.map((rank) => rank.dp)) + 1;

describe('planned KV moves', () => {
  it('put every (sequence, layer, head, token) where the next stage looks for it', () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(arbitraryProblem, ({ from, to, machine, pages, inTier, drawn }) => {
        const roads = roadsOf(machine);
        const sequences = drawn.map(([tokens, a, b]) => ({
          tokens,
          from: a % replicas(from),
          to: b % replicas(to),
        }));
        const pageTokens = { from: pages[0], to: pages[1] };
        const tier = (device: number): ReturnType<typeof roads.between> => {
          const { path, group } = machine.devices[device]!;
          return roads.between(group === '' ? 'host' : `${group}.host`, path);
        };
        const plan = planKv(
          { from, to, pageTokens, headBytes: 8, sequences, ...(inTier ? { tier } : {}) },
          roads,
        );
        for (const move of plan.moves) kinds.add(move.kind);
        // Two nodes without a network between them, and KV in no tier: then there is no way, and a move says `tier`.
        const stranded = plan.moves.some((move) => move.kind === 'tier') && !inTier;
        if (stranded) return;
        const after = execute(
          pagesOf(from, sequences, 'from', pageTokens.from),
          plan.moves,
          from,
          to,
          pageTokens,
        );
        expect(after).toEqual(pagesOf(to, sequences, 'to', pageTokens.to));
        const brought = plan.moves.filter((move) => move.kind === 'peer' || move.kind === 'tier');
        expect(brought.reduce((sum, move) => sum + move.bytes, 0)).toBe(plan.lowerBound);
      }),
      { numRuns: 200 },
    );
    expect([...kinds].sort()).toEqual(['copy', 'keep', 'peer', 'tier']);
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
    const problem = { from: halves, to: halves, headBytes: 16, sequences: [{ tokens: 5, from: 0, to: 0 }] };
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
