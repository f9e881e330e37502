/**
 * Where KV lies that has left the devices: every rank that puts pages out leaves its part of them with the host beside it,
 * and what goes on to disk goes to the disk beside that host. Pages are those of stages that prefill: their replicas count as
 * if all of them put out equally many, as prompts are dealt to them.
 */
import { once } from '../once.js';
import { intervalLength } from '../ir/rectangles.js';
import { sliceOwners } from '../ir/page-slices.js';
import { rankBlock } from '../ir/sharding-algebra.js';
import type { Interval } from '../ir/transitions.js';
import type { ModelShape } from '../model/shape.js';
import type { KvTier, Plan, Stage, Tier } from '../plan/plan.js';
import { tierBeside, tierFor } from '../plan/routes.js';
import { carryingTier } from './kv-edges.js';
import { pipelineSegments } from './shard.js';

/** An instance of a tier that has KV of a plan. */
export interface KvPlace {
  readonly tier: Tier;
  /** Of a device beside it. */
  readonly group: string;
  /** Layers times KV heads that lie here of a page of each replica that prefills, and how many there are of these in all. */
  readonly parts: number;
  readonly all: number;
}

/** The instances of a tier that have KV of a plan, and how much. */
export function kvPlaces(plan: Plan, { name }: Pick<KvTier, 'name'>): readonly KvPlace[] {
  const { topology, stages, model } = plan;
  const { shape } = model;
  const hostOf = tierBeside(topology, carryingTier(plan)?.name);
  const tierOf = once((group: string) => tierFor(topology, group, name));
  const held = new Map<Tier, { readonly group: string; parts: number }>();
  let replicas = 0;
  for (const stage of stages) {
    if (!stage.phases.includes('prefill')) continue;
    const owners = ownersOf(stage, shape);
    const { mesh, devices } = stage;
    for (let dp = 0; dp < mesh.dp; dp++) {
      // Of ranks beside one host it is the disk of the first that has their pages.
      const groups = new Map<string, string>();
      for (const { rank, parts } of owners) {
        const device = devices[dp * mesh.pp * mesh.tp + rank]!;
        const own = topology.devices[device]!.group;
        const host = hostOf(device) ?? own;
        const group = groups.get(host) ?? own;
        groups.set(host, group);
        const tier = tierOf(group);
        if (tier === undefined) continue;
        const place = held.get(tier) ?? { group, parts: 0 };
        held.set(tier, place);
        place.parts += parts;
      }
    }
    replicas += mesh.dp;
  }
  const all = replicas * shape.layers * shape.kvHeads;
  return [...held].map(([tier, { group, parts }]) => ({ tier, group, parts, all }));
}

/**
 * The disk that pages with the host beside a device go to: the one beside it. Devices that only decode may have none, and pages
 * that these put out, as they run out of room, go to the first that has KV of those which prefill.
 */
export function diskForPages(plan: Plan, name: string | undefined): (device: number) => string | undefined {
  const beside = tierBeside(plan.topology, name);
  return once((device) =>
    name === undefined ? undefined : (beside(device) ?? kvPlaces(plan, { name })[0]?.tier.path),
  );
}

/**
 * Bytes of KV that a tier has room for: those with which the first of its instances is full.
 *
 * @param leftIn bytes of an instance that are left for KV
 */
export function kvRoomIn(
  plan: Plan,
  tier: KvTier,
  leftIn: (place: KvPlace) => number = ({ tier: { capacity } }) => capacity,
): number {
  const { cap = Infinity } = tier;
  const places = kvPlaces(plan, tier);
  if (places.length === 0) return 0;
  return Math.max(
    0,
    Math.min(...places.map((place) => (Math.min(cap, leftIn(place)) * place.all) / place.parts)),
  );
}

/** A rank of a replica that puts pages out, and the layers times KV heads that it has of them. */
interface PageOwner {
  readonly rank: number;
  readonly parts: number;
}

function ownersOf(stage: Stage, { kvHeads }: ModelShape): readonly PageOwner[] {
  const { mesh, sharding } = stage;
  const axes = sharding.onTp.includes('kv_heads') ? (['tp'] as const) : [];
  const ranks = pipelineSegments(stage).flatMap(({ pp, firstLayer, lastLayer }) => {
    const layers: Interval = [firstLayer, lastLayer + 1];
    return Array.from({ length: mesh.tp }, (_, tp) => ({
      dp: 0,
      rank: pp * mesh.tp + tp,
      layers,
      heads: rankBlock('kv_heads', kvHeads, axes, mesh, { dp: 0, pp, tp }, sharding.kvReplicas),
    }));
  });
  return [...sliceOwners(ranks, (rank) => rank)].map(({ rank, layers, heads }) => ({
    rank,
    parts: intervalLength(layers) * intervalLength(heads),
  }));
}
