/**
 * KV pools: which stages share pages, and how many pages each pool gets.
 *
 * Stages joined by a `shared` edge read the same pages; any other stage has a pool of its own. Pages are dealt per
 * device out of what weights and workspace leave under the budget:
 * - a pool that only prefills and hands its KV on needs its pipeline's microbatches (`pp` in work, two being paged
 *   out) and one longest sequence; it gets that, but never more than half of what is left;
 * - a pool that decodes takes the rest, but no more than is useful: the batch's sequences at full context, and a
 *   quarter more for those that arrive ahead.
 * A pool has equally many pages on all its ranks, so its poorest device decides.
 */
import type { KvPool } from '../ir/runtime-graph.js';
import type { Interval, KvReshard, RankHolding } from '../ir/transitions.js';
import { BYTES_OF } from '../model/shape.js';
import type { Plan, Stage } from '../plan/plan.js';
import { intervalLength } from '../ir/rectangles.js';

const PAGED_OUT_MICROBATCHES = 2;
const ARRIVING_AHEAD = 1.25;

/** A pool before it has pages. */
export interface PoolDraft {
  readonly id: string;
  readonly stages: readonly Stage[];
  readonly ranks: readonly RankHolding[];
  /** The most pages a replica can make use of. */
  readonly useful: number;
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
    };
  });
}

function usefulPages(plan: Plan, group: readonly Stage[], handsOn: boolean): number {
  const { pageTokens } = plan.kv;
  const perSequence = Math.ceil(plan.model.shape.context / pageTokens);
  const prefill = group
    .filter((stage) => stage.phases.includes('prefill'))
    .map((stage) => {
      const tokens = (stage.mesh.pp + PAGED_OUT_MICROBATCHES) * stage.microbatchTokens;
      return Math.ceil(tokens / pageTokens) + perSequence;
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

/** Gives each pool its pages. `room`: bytes left for KV by device. */
export function layOutPools(
  plan: Plan,
  drafts: readonly PoolDraft[],
  room: ReadonlyMap<number, number>,
  maxBindingBytes: number,
): readonly KvPool[] {
  const left = new Map(room);
  const pages = new Map<string, number>();
  const order = [...drafts].sort((a, b) => Number(b.handsOn) - Number(a.handsOn));
  for (const draft of order) {
    const contested = (device: number): boolean =>
      draft.handsOn &&
      drafts.some((other) => other !== draft && other.ranks.some((rank) => rank.device === device));
    const fits = draft.ranks.map((rank) => {
      const available = (left.get(rank.device) ?? 0) * (contested(rank.device) ? 0.5 : 1);
      const layerBytes = layerPageBytes(plan, rank.kv.heads);
      const bytes = intervalLength(rank.kv.layers) * layerBytes;
      if (bytes === 0) return draft.useful;
      return Math.min(Math.floor(available / bytes), Math.floor(maxBindingBytes / layerBytes));
    });
    const count = Math.max(0, Math.min(draft.useful, ...fits));
    pages.set(draft.id, count);
    for (const rank of draft.ranks) {
      const bytes = count * intervalLength(rank.kv.layers) * layerPageBytes(plan, rank.kv.heads);
      left.set(rank.device, (left.get(rank.device) ?? 0) - bytes);
    }
  }
  return drafts.map((draft) => layOutPool(plan, draft, pages.get(draft.id)!, maxBindingBytes));
}

function layOutPool(plan: Plan, draft: PoolDraft, pages: number, maxBindingBytes: number): KvPool {
  return {
    id: draft.id,
    stages: draft.stages.map((stage) => stage.name),
    pages,
    ranks: draft.ranks.map(({ device, dp, kv }) => {
      const layerBytes = layerPageBytes(plan, kv.heads);
      return {
        device,
        dp,
        layers: kv.layers,
        heads: kv.heads,
        groups: layerGroups(kv.layers, pages * layerBytes, maxBindingBytes),
        pageBytes: intervalLength(kv.layers) * layerBytes,
      };
    }),
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
  const groups = Math.ceil(count / most);
  return Array.from({ length: groups }, (_, group): Interval => [
    layers[0] + Math.floor((group * count) / groups),
    layers[0] + Math.floor(((group + 1) * count) / groups),
  ]);
}
