/**
 * Re-shards of KV, at (sequence, layer, kv head, token range): a range of a sequence's tokens is a tensor of layers by
 * kv heads whose element is all those tokens, so the same planner serves, and what a move means does not depend on any
 * page table.
 *
 * Pages are cut by rank, not by token: a move takes the whole range. Where both ends have pages of their own size,
 * `pageRuns` cuts it into runs that lie in one page at either end.
 */
import { area, intervalLength, sameInterval } from '../ir/rectangles.js';
import type { Interval, RankHolding, ReshardCost } from '../ir/transitions.js';
import { planMoves } from './plan-moves.js';
import type { Road, Roads } from './roads.js';
import type { Placement } from './sources.js';

/** Some tokens of one request, on their way from a replica of one stage to a replica of another. */
export interface KvSequence {
  /** Positions in the request; what else of it there is may move on its own. */
  readonly tokens: Interval;
  /** Replica (dp coordinate) that has it, and the one that shall. */
  readonly from: number;
  readonly to: number;
}

export interface KvProblem {
  readonly from: readonly RankHolding[];
  readonly to: readonly RankHolding[];
  /** Tokens per page at either end. */
  readonly pageTokens: { readonly from: number; readonly to: number };
  /** Bytes of K and V of one token in one head of one layer. */
  readonly headBytes: number;
  readonly sequences: readonly KvSequence[];
  /** The road to a device from a tier that has all of it; none where KV is on the devices only. */
  readonly tier?: (device: number) => Road | undefined;
}

/** KV of one sequence on its way to one device. */
export interface KvMove {
  /** Index in `KvProblem.sequences`. */
  readonly sequence: number;
  readonly device: number;
  readonly layers: Interval;
  readonly heads: Interval;
  /** All that the sequence names. */
  readonly tokens: Interval;
  /** `keep`: the pages stay; `copy`: to other pages of the device; `peer`: from device `source`; `tier`: paged in. */
  readonly kind: 'keep' | 'copy' | 'peer' | 'tier';
  readonly source?: number;
  readonly bytes: number;
}

export interface KvPlan {
  readonly moves: readonly KvMove[];
  /** Fewest bytes that any plan brings onto devices. */
  readonly lowerBound: number;
  readonly cost: ReshardCost;
}

/** Plans the moves of all sequences together. */
export function planKv(problem: KvProblem, roads: Roads): KvPlan {
  const { from, to, sequences, headBytes, pageTokens } = problem;
  const place = (
    ranks: readonly RankHolding[],
    replica: (sequence: KvSequence) => number,
  ): readonly Placement[] =>
    ranks
      .map(({ device, dp, kv }) => ({
        device,
        weights: sequences.flatMap((sequence, index) =>
          replica(sequence) === dp ? [{ tensor: String(index), rows: kv.layers, cols: kv.heads }] : [],
        ),
      }))
      .filter(({ weights }) => weights.length > 0);
  // A rank whose pages hold other layers or heads afterwards has to write them anew.
  const reformed = (device: number): boolean => {
    const before = from.find((rank) => rank.device === device)?.kv;
    const after = to.find((rank) => rank.device === device)?.kv;
    if (!before || !after || pageTokens.from !== pageTokens.to) return true;
    return !sameInterval(before.layers, after.layers) || !sameInterval(before.heads, after.heads);
  };
  const plan = planMoves(
    {
      from: place(from, (sequence) => sequence.from),
      to: place(to, (sequence) => sequence.to),
      bytesOf: (piece) => area(piece) * intervalLength(sequences[Number(piece.tensor)]!.tokens) * headBytes,
      origin: problem.tier ?? ((): undefined => undefined),
      rewrites: reformed,
    },
    roads,
  );
  return {
    moves: plan.moves.map(({ device, piece, kind, source, bytes }) => {
      const sequence = Number(piece.tensor);
      return {
        sequence,
        device,
        layers: piece.rows,
        heads: piece.cols,
        tokens: sequences[sequence]!.tokens,
        kind: kind === 'upload' ? 'tier' : kind,
        ...(source !== undefined && { source }),
        bytes,
      };
    }),
    lowerBound: plan.lowerBound,
    cost: plan.cost,
  };
}

/** A run of tokens that lies in one page before and in one page after. */
export interface PageRun {
  readonly tokens: Interval;
  /** Index of the page in the sequence's table, and first slot in that page. */
  readonly from: { readonly page: number; readonly slot: number };
  readonly to: { readonly page: number; readonly slot: number };
}

/** Cuts tokens at the page borders of both ends: 10 tokens from pages of 4 to pages of 6 are [0,4) [4,6) [6,8) [8,10). */
export function pageRuns([start, end]: Interval, from: number, to: number): readonly PageRun[] {
  const runs: PageRun[] = [];
  for (let at = start; at < end;) {
    const next = Math.min(end, (Math.floor(at / from) + 1) * from, (Math.floor(at / to) + 1) * to);
    const place = (size: number): PageRun['from'] => ({ page: Math.floor(at / size), slot: at % size });
    runs.push({ tokens: [at, next], from: place(from), to: place(to) });
    at = next;
  }
  return runs;
}
