/**
 * The transition graph as text. Intervals are half-open and written `start:end`; pieces that differ only in their
 * layer share a line (`model.layers.{0..3}.mlp.down_proj.weight [0:32, 12:24]`).
 */
import { groupBy } from '../group-by.js';
import { once } from '../once.js';
import { aligned, braced, printIds, printOrigin, type PrintOptions } from './print.js';
import {
  describeResidence,
  formatTime,
  formatTimes,
  meanOfReplicas,
  reportKvCost,
  reportReshard,
} from '../reshard/describe.js';
import { area } from './rectangles.js';
import type {
  GroupPlan,
  Interval,
  KvCost,
  KvReshard,
  KvSlice,
  LinkLoad,
  RankHolding,
  TensorPiece,
  TransitionGraph,
  WeightReshard,
} from './transitions.js';

/** Stable text of a transition graph, ending in a line break. */
export function printTransitions(graph: TransitionGraph, options: PrintOptions = {}): string {
  const lines = [
    'transitions',
    ...Object.entries(graph.holdings).flatMap(([stage, ranks]) => ['', ...printHoldings(stage, ranks)]),
    ...(graph.residence ? ['', describeResidence(graph.residence)] : []),
    ...graph.weights.flatMap((reshard) => ['', ...printReshard(reshard, options)]),
    ...graph.kv.flatMap((edge, index) => ['', ...printKvEdge(edge, graph.kvCosts[index], options)]),
  ];
  return `${lines.join('\n')}\n`;
}

/** `0:4`. */
export function printInterval(interval: Interval): string {
  return `${interval[0]}:${interval[1]}`;
}

function printHoldings(stage: string, ranks: readonly RankHolding[]): string[] {
  return braced(
    `holdings ${stage}`,
    aligned(
      ranks.map(({ device, dp, pp, tp, weights, kv }) => [
        `device ${device}`,
        `dp ${dp} pp ${pp} tp ${tp}`,
        `${weights.reduce((sum, piece) => sum + area(piece), 0)} weights`,
        `kv layers ${printInterval(kv.layers)} heads ${printInterval(kv.heads)}`,
      ]),
    ),
  );
}

function printReshard(reshard: WeightReshard, options: PrintOptions): string[] {
  const { keep, copy, peer, upload, evict } = reshard.bytes;
  const rowsOf = once(rowsByPlace);
  const origin = printOrigin(reshard.origin, options);
  const { seconds, boundSeconds, timesBoundSeconds, linkBytes, timesBound } = reportReshard(reshard);
  return braced(`weights ${reshard.from} -> ${reshard.to}${origin && ` ${origin}`}`, [
    `keep ${keep} B, copy ${copy} B, ${peer > 0 ? `peer ${peer} B, ` : ''}upload ${upload} B, evict ${evict} B; ` +
      `lower bound ${reshard.lowerBound} B`,
    ...printLinks(reshard.cost.links),
    `${formatTime(seconds)} predicted, ${formatTime(boundSeconds)} at best (${formatTimes(timesBoundSeconds)}); ` +
      `${linkBytes} B over links (${formatTimes(timesBound)})`,
    ...reshard.groups.flatMap(({ devices, plan }) =>
      [...rowsOf(plan)].flatMap(([place, rows]) =>
        braced(`device ${devices[place]}`, aligned(rows.map((row) => pieceCells(row, devices)))),
      ),
    ),
  ]);
}

/** What moves to and from each place of a group. */
function rowsByPlace({ moves, evict }: GroupPlan): ReadonlyMap<number, readonly PieceRow[]> {
  const kinds = ['keep', 'copy', 'peer', 'upload'] as const;
  const evicted = groupBy(evict, (entry) => entry.device);
  return new Map(
    [...groupBy(moves, (move) => move.device)].map(([place, mine]) => {
      const byKind = groupBy(mine, (move) => move.kind);
      return [
        place,
        [
          ...kinds.flatMap((kind) => printPieces(kind, byKind.get(kind) ?? [])),
          ...printPieces('evict', evicted.get(place) ?? []),
        ],
      ];
    }),
  );
}

/** One row per link and direction. */
function printLinks(links: readonly LinkLoad[]): string[] {
  return aligned(
    links.map(({ link, from, to, bytes, busiest }) => [
      `over ${link}`,
      link.endsWith('memory') ? '' : `${from} to ${to}`,
      `${printBytes(bytes)} B`,
      `${busiest.place} ${printBytes(busiest.bytes)} B in ${formatTime(busiest.seconds)}`,
    ]),
  );
}

/** Whole, or as a mean with at most two digits behind the point. */
function printBytes(bytes: number): string {
  return String(Number(bytes.toFixed(2)));
}

interface PieceRow {
  readonly kind: string;
  readonly name: string;
  readonly where: string;
  /** Place of the device that sends it. */
  readonly source: number | undefined;
}

/** One row per piece and source, layers drawn together. */
function printPieces(
  kind: string,
  moves: readonly { readonly piece: TensorPiece; readonly source?: number }[],
): readonly PieceRow[] {
  const groups = new Map<string, Omit<PieceRow, 'kind'> & { readonly layers: number[] }>();
  for (const { piece, source } of moves) {
    const { tensor, rows, cols } = piece;
    const number = /\.(\d+)\./.exec(tensor)?.[1];
    const name = number === undefined ? tensor : tensor.replace(`.${number}.`, '.{#}.');
    const where = `[${printInterval(rows)}, ${printInterval(cols)}]`;
    const key = `${name} ${where} ${source}`;
    const group = groups.get(key) ?? { name, layers: [], where, source };
    if (number !== undefined) group.layers.push(Number(number));
    groups.set(key, group);
  }
  return [...groups.values()].map(({ name, layers, where, source }) => {
    return { kind, name: name.replace('#', printIds(layers)), where, source };
  });
}

function pieceCells({ kind, name, where, source }: PieceRow, devices: readonly number[]): readonly string[] {
  return [kind, name, source === undefined ? where : `${where} from device ${devices[source]}`];
}

function printKvEdge(edge: KvReshard, cost: KvCost | undefined, options: PrintOptions): string[] {
  const origin = printOrigin(edge.origin, options);
  const head = `kv ${edge.from} -> ${edge.to}${origin && ` ${origin}`}`;
  if (edge.path === 'shared') return braced(head, ['the same pages on the same devices; nothing moves']);
  const { bytesPerToken } = edge;
  return braced(head, [
    `through ${edge.tier ?? 'no tier'}: ${bytesPerToken.out} B out and ${bytesPerToken.in} B in per token`,
    ...(cost ? printKvCost(cost) : []),
    ...aligned([...printSlices('out', edge.pageOut), ...printSlices('in', edge.pageIn)]),
  ]);
}

function printKvCost(cost: KvCost): string[] {
  const { seconds, linkBytes, lowerBound, timesBound } = reportKvCost(cost);
  return [
    ...printLinks(cost.links),
    `${formatTime(seconds)} per token predicted${meanOfReplicas(cost)}; ${printBytes(linkBytes)} B over links, ` +
      `lower bound ${printBytes(lowerBound)} B (${formatTimes(timesBound)})`,
  ];
}

function printSlices(direction: string, slices: readonly KvSlice[]): string[][] {
  return slices.map(({ device, dp, layers, heads, bytesPerToken }) => [
    direction,
    `device ${device}`,
    `dp ${dp}`,
    `layers ${printInterval(layers)} heads ${printInterval(heads)}`,
    `${bytesPerToken} B per token`,
  ]);
}
