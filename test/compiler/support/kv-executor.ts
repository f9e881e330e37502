/**
 * Carries out KV moves on ids of (sequence, layer, head, token), run by run between page tables of different page
 * sizes. A rank's page holds its layers and heads in the order of the pools: `[layer, kv head, slot]`.
 */
import type { RankHolding } from '../../../compiler/ir/transitions.js';
import { pageRuns, type KvMove, type KvSequence } from '../../../compiler/reshard/plan-kv.js';

/** Pages of one sequence on one rank; a slot that nothing was written to is NaN. */
interface Table {
  readonly rank: RankHolding;
  readonly pageTokens: number;
  readonly ids: Float64Array;
}

/** By device, then by sequence. */
export type PagedMemories = ReadonlyMap<number, ReadonlyMap<number, Table>>;

/** One end of a re-shard: its ranks, the replica of each sequence, and tokens per page. */
export interface KvEnd {
  readonly ranks: readonly RankHolding[];
  readonly replica: (sequence: KvSequence) => number;
  readonly pageTokens: number;
}

const idOf = (sequence: number, layer: number, head: number, token: number): number =>
  ((sequence * 64 + layer) * 64 + head) * 64 + token;

function emptyPages({ ranks, replica, pageTokens }: KvEnd, sequences: readonly KvSequence[]): PagedMemories {
  return new Map(
    ranks.map((rank) => {
      const tables = new Map<number, Table>();
      sequences.forEach((sequence, index) => {
        if (replica(sequence) !== rank.dp) return;
        const { layers, heads } = rank.kv;
        const slots = Math.ceil(sequence.tokens[1] / pageTokens) * pageTokens;
        const ids = new Float64Array(slots * (layers[1] - layers[0]) * (heads[1] - heads[0])).fill(NaN);
        tables.set(index, { rank, pageTokens, ids });
      });
      return [rank.device, tables];
    }),
  );
}

/** What a stage has in its pages for the sequences of each replica. */
export function pagesOf(end: KvEnd, sequences: readonly KvSequence[]): PagedMemories {
  const pages = emptyPages(end, sequences);
  for (const tables of pages.values()) {
    for (const [sequence, table] of tables) {
      const { layers, heads } = table.rank.kv;
      for (let layer = layers[0]; layer < layers[1]; layer++)
        for (let head = heads[0]; head < heads[1]; head++)
          for (let token = sequences[sequence]!.tokens[0]; token < sequences[sequence]!.tokens[1]; token++)
            table.ids[indexOf(table, layer, head, token)] = idOf(sequence, layer, head, token);
    }
  }
  return pages;
}

function indexOf(table: Table, layer: number, head: number, token: number): number {
  const page = Math.floor(token / table.pageTokens);
  return slotIndex(table, layer, head, page, token % table.pageTokens);
}

function slotIndex(
  { rank, pageTokens }: Table,
  layer: number,
  head: number,
  page: number,
  slot: number,
): number {
  const { layers, heads } = rank.kv;
  const inPage = (layer - layers[0]) * (heads[1] - heads[0]) + head - heads[0];
  return (page * (layers[1] - layers[0]) * (heads[1] - heads[0]) + inPage) * pageTokens + slot;
}

/** Pages after the moves. Throws where a move takes what is not there, or writes a slot again. */
export function executeKvMoves(
  before: PagedMemories,
  moves: readonly KvMove[],
  sequences: readonly KvSequence[],
  to: KvEnd,
): PagedMemories {
  const after = emptyPages(to, sequences);
  for (const move of moves) {
    const { sequence, device, layers, heads, kind, source } = move;
    const complain = (what: string): never => {
      throw new Error(`${kind} of sequence ${sequence} to device ${device}: ${what}`);
    };
    const target = after.get(device)?.get(sequence) ?? complain('it has no place');
    const old = kind === 'tier' ? undefined : before.get(source ?? device)?.get(sequence);
    if (kind !== 'tier' && !old) complain('the sender does not have the sequence');
    for (const run of pageRuns(move.tokens, old?.pageTokens ?? to.pageTokens, to.pageTokens)) {
      const samePlace = run.from.page === run.to.page && run.from.slot === run.to.slot;
      if (kind === 'keep' && !samePlace) complain('it has to move');
      for (let layer = layers[0]; layer < layers[1]; layer++) {
        for (let head = heads[0]; head < heads[1]; head++) {
          for (let step = 0; step < run.tokens[1] - run.tokens[0]; step++) {
            const at = slotIndex(target, layer, head, run.to.page, run.to.slot + step);
            if (!Number.isNaN(target.ids[at])) complain('it arrives twice');
            target.ids[at] = old
              ? old.ids[slotIndex(old, layer, head, run.from.page, run.from.slot + step)]!
              : idOf(sequence, layer, head, run.tokens[0] + step);
            if (Number.isNaN(target.ids[at])) complain('it is not there');
          }
        }
      }
    }
  }
  return after;
}

/** The first device of `wanted` whose pages are not the same in `found`; slots without tokens are NaN in both. */
export function firstPageDifference(found: PagedMemories, wanted: PagedMemories): number | undefined {
  for (const [device, tables] of wanted) {
    const others = found.get(device);
    if (others?.size !== tables.size) return device;
    for (const [sequence, { ids }] of tables) {
      const other = others.get(sequence);
      if (other?.ids.length !== ids.length) return device;
      if (!ids.every((id, at) => Object.is(id, other.ids[at]))) return device;
    }
  }
  return undefined;
}
