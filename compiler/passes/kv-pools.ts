/**
 * KV pools: which stages share pages, and how many pages each pool gets.
 *
 * Stages joined by a `shared` edge read the same pages; any other stage has a pool of its own. Pages are dealt per
 * device out of what weights and workspace leave under the budget:
 * - a pool that only prefills and hands its KV on needs its pipeline's microbatches (`pp` in work, two being paged
 *   out) and one longest sequence; it gets that, but never more than half of what is left;
 * - a pool that decodes takes the rest, but no more than is useful: the batch's sequences at full context, and a
 *   quarter more for those that arrive ahead.
 * Where every layer sees a window, a sequence takes no more than the window and the rows in work lie in.
 * A pool has equally many pages on all its ranks, so its poorest device decides. Two such pools whose pages are of the
 * same bytes share them instead of parting the room: see shared-pages.ts.
 */
import type { KvPool } from '../ir/runtime-graph.js';
import type { Interval, KvReshard, RankHolding } from '../ir/transitions.js';
import { kvView, mostPages } from '../model/kv-window.js';
import { BYTES_OF } from '../model/shape.js';
import type { Plan, Stage } from '../plan/plan.js';
import { intervalLength } from '../ir/rectangles.js';
import { once } from '../once.js';
import { stepSizes } from './step-sizes.js';
import { borrowedPages, commonGroups, lenderOf, mostCommonGroups } from './shared-pages.js';

/** Of a pipeline, beside those in work. */
export const PAGED_OUT_MICROBATCHES = 2;
/** Of the batch, with those that arrive ahead. */
export const ARRIVING_AHEAD = 1.25;

/** A pool before it has pages. */
export interface PoolDraft {
  readonly id: string;
  readonly stages: readonly Stage[];
  readonly ranks: readonly RankHolding[];
  /** The most pages a replica can make use of. */
  readonly useful: number;
  /** Pages of the longest sequence. */
  readonly longest: number;
  /** Its sequences leave for another pool when prefilled. */
  readonly handsOn: boolean;
}

/** Groups the stages of the flow into pools, in flow order. */
export function draftPools(
  plan: Plan,
  stages: readonly Stage[],
  holdings: Readonly<Record<string, readonly RankHolding[]>>,
  edges: readonly KvReshard[],
): readonly PoolDraft[] {
  const groups: Stage[][] = [];
  for (const stage of stages) {
    const joined = groups.find((group) =>
      edges.some(
        (edge) =>
          edge.path === 'shared' && edge.to === stage.name && group.some((other) => other.name === edge.from),
      ),
    );
    if (joined) joined.push(stage);
    else groups.push([stage]);
  }
  return groups.map((group) => {
    const handsOn = !group.some((stage) => stage.phases.includes('decode'));
    return {
      id: group.map((stage) => stage.name).join('+'),
      stages: group,
      ranks: holdings[group[0]!.name]!,
      handsOn,
      useful: usefulPages(plan, group, handsOn),
      longest: Math.max(...group.map((stage) => sequencePages(plan, stage))),
    };
  });
}

/** The most pages that a sequence takes in a stage at once. */
function sequencePages(plan: Plan, stage: Stage): number {
  const { shape } = plan.model;
  const rows = stage.phases.includes('prefill') ? stepSizes(stage).maxTokens * stage.mesh.pp : 1;
  return mostPages(kvView(shape, plan.kv.pageTokens), shape.context, rows);
}

/** The most pages that a sequence takes at once where it decodes. */
export function decodingPages({ model: { shape }, kv }: Plan): number {
  return mostPages(kvView(shape, kv.pageTokens), shape.context, 1);
}

/** Tokens that a stage needs KV for at once at least, and their pages: where it prefills a microbatch, as far as the context goes. */
export function leastKv({ model: { shape }, kv }: Plan, stage: Stage): { tokens: number; pages: number } {
  const { pageTokens } = kv;
  const step = stage.phases.includes('prefill') ? stage.microbatchTokens : pageTokens;
  const tokens = Math.min(shape.context, step);
  return { tokens, pages: mostPages(kvView(shape, pageTokens), tokens, 1) };
}

function usefulPages(plan: Plan, group: readonly Stage[], handsOn: boolean): number {
  const { pageTokens } = plan.kv;
  const perSequence = decodingPages(plan);
  const prefill = group
    .filter((stage) => stage.phases.includes('prefill'))
    .map((stage) => {
      const tokens = (stage.mesh.pp + PAGED_OUT_MICROBATCHES) * stage.microbatchTokens;
      return Math.ceil(tokens / pageTokens) + sequencePages(plan, stage);
    });
  if (handsOn) return Math.max(...prefill);
  const decode = group
    .filter((stage) => stage.phases.includes('decode'))
    .map((stage) => Math.ceil((stage.batchRequests / stage.mesh.dp) * ARRIVING_AHEAD) * perSequence);
  return Math.max(...decode) + Math.max(0, ...prefill);
}

/** Bytes of one page of one layer on a rank that holds these heads. */
export function layerPageBytes(plan: Plan, heads: Interval): number {
  return intervalLength(heads) * plan.kv.pageTokens * 2 * plan.model.shape.headDim * BYTES_OF[plan.kv.dtype];
}

/** Bytes of a page of all layers and heads. */
export function neutralPageBytes(plan: Plan): number {
  const { layers, kvHeads } = plan.model.shape;
  return layers * layerPageBytes(plan, [0, kvHeads]);
}

/** Pages of each pool, by its id, and which pool has its pages in those of another. */
interface PoolPages {
  readonly pages: ReadonlyMap<string, number>;
  /** By pool those that it lends to, and that it borrows from. */
  readonly borrowers: ReadonlyMap<PoolDraft, PoolDraft>;
  readonly lenders: ReadonlyMap<PoolDraft, PoolDraft>;
}

/** How many pages each pool gets. `room`: bytes left for KV by device. */
export function dealPages(
  plan: Plan,
  drafts: readonly PoolDraft[],
  room: ReadonlyMap<number, number>,
  maxBindingBytes: number,
): PoolPages {
  const left = new Map(room);
  const borrowers = new Map<PoolDraft, PoolDraft>();
  for (const draft of drafts) {
    const lender = lenderOf(draft, drafts);
    if (lender !== undefined && !borrowers.has(lender)) borrowers.set(lender, draft);
  }
  const lenders = new Map([...borrowers].map(([lender, borrower]) => [borrower, lender]));
  const pages = new Map<string, number>();
  const order = [...drafts].sort((a, b) => Number(b.handsOn) - Number(a.handsOn));
  for (const draft of order) {
    const lender = lenders.get(draft);
    if (lender !== undefined) {
      pages.set(draft.id, borrowedPages(pages.get(lender.id)!, lender));
      continue;
    }
    const borrower = borrowers.get(draft);
    const useful = draft.useful + (borrower?.useful ?? 0);
    const rivals = drafts.filter((other) => other !== draft && other !== borrower);
    const wanted = new Set(rivals.flatMap(({ ranks }) => ranks.map((rank) => rank.device)));
    const contested = (device: number): boolean => draft.handsOn && wanted.has(device);
    const parts = borrower === undefined ? undefined : mostCommonGroups([draft, borrower]);
    // Replicas have one value for what they hold.
    const sizesOf = once(({ layers, heads }: RankHolding['kv']) => {
      const layerBytes = layerPageBytes(plan, heads);
      const pageBytes = intervalLength(layers) * layerBytes;
      // The smallest buffer that layers can be split into must fit a binding.
      const part = parts === undefined ? layerBytes : pageBytes / parts;
      return { pageBytes, bindable: Math.floor(maxBindingBytes / part) };
    });
    let count = useful;
    for (const { device, kv } of draft.ranks) {
      const { pageBytes, bindable } = sizesOf(kv);
      if (pageBytes === 0) continue;
      const available = (left.get(device) ?? 0) * (contested(device) ? 0.5 : 1);
      count = Math.min(count, Math.floor(available / pageBytes), bindable);
    }
    count = Math.max(0, count);
    pages.set(draft.id, count);
    for (const { device, kv } of draft.ranks)
      left.set(device, (left.get(device) ?? 0) - count * sizesOf(kv).pageBytes);
  }
  return { pages, borrowers, lenders };
}

/** Gives each pool its pages. `room`: bytes left for KV by device. */
export function layOutPools(
  plan: Plan,
  drafts: readonly PoolDraft[],
  room: ReadonlyMap<number, number>,
  maxBindingBytes: number,
): readonly KvPool[] {
  const { pages, borrowers, lenders } = dealPages(plan, drafts, room, maxBindingBytes);
  return drafts.map((draft) => {
    const lender = lenders.get(draft);
    const borrower = borrowers.get(draft);
    const owned = pages.get((lender ?? draft).id)!;
    const other = lender ?? borrower;
    const groups = other && commonGroups([draft, other], partsNeeded(plan, draft, owned, maxBindingBytes));
    return {
      ...layOutPool(plan, draft, owned, maxBindingBytes, groups),
      pages: pages.get(draft.id)!,
      ...(lender && { within: lender.id }),
    };
  });
}

/** Buffers that a device's pages must be split into at least, whatever the layers. */
function partsNeeded(plan: Plan, { ranks }: PoolDraft, pages: number, maxBindingBytes: number): number {
  return Math.max(
    1,
    ...ranks.map(({ kv }) => {
      const bytes = pages * intervalLength(kv.layers) * layerPageBytes(plan, kv.heads);
      return Math.ceil(bytes / maxBindingBytes);
    }),
  );
}

/** `groups`: into how many groups layers are split; as few as a binding allows where that is not given. */
function layOutPool(
  plan: Plan,
  draft: PoolDraft,
  pages: number,
  maxBindingBytes: number,
  groups?: number,
): KvPool {
  // Replicas have one value for what they hold.
  const laidOut = once(({ layers, heads }: RankHolding['kv']) => {
    const layerBytes = layerPageBytes(plan, heads);
    return {
      layers,
      heads,
      groups:
        groups === undefined
          ? layerGroups(layers, pages * layerBytes, maxBindingBytes)
          : evenGroups(layers, groups),
      pageBytes: intervalLength(layers) * layerBytes,
    };
  });
  return {
    id: draft.id,
    stages: draft.stages.map((stage) => stage.name),
    pages,
    ranks: draft.ranks.map(({ device, dp, kv }) => ({ device, dp, ...laidOut(kv) })),
  };
}

/** As few groups as the binding limit allows, as even as possible. */
export function layerGroups(
  layers: Interval,
  bytesPerLayer: number,
  maxBindingBytes: number,
): readonly Interval[] {
  const count = intervalLength(layers);
  const most = Math.max(1, Math.min(count, Math.floor(maxBindingBytes / Math.max(1, bytesPerLayer))));
  return evenGroups(layers, Math.ceil(count / most));
}

function evenGroups(layers: Interval, groups: number): readonly Interval[] {
  const count = intervalLength(layers);
  return Array.from({ length: groups }, (_, group): Interval => [
    layers[0] + Math.floor((group * count) / groups),
    layers[0] + Math.floor(((group + 1) * count) / groups),
  ]);
}
