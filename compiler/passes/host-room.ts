/**
 * Room of tiers for KV. Where stages take turns, transitions load weights from a copy of the model in host
 * memory, one in each that the plan's devices reach; a host that has no room for one loads them from disk, and so does
 * one that would have none for the KV of a sequence beside it.
 */
import { report } from '../diagnostics/catalogue.js';
import type { Diagnostic } from '../diagnostics/diagnostic.js';
import { formatBytes } from '../check/units.js';
import { groupBy } from '../group-by.js';
import type { RuntimeGraph, WeightShard } from '../ir/runtime-graph.js';
import type { KvReshard } from '../ir/transitions.js';
import { bytesPerElement } from '../model/weight-types.js';
import type { KvTier, Plan } from '../plan/plan.js';
import { tierBeside } from '../plan/routes.js';
import { keepsCopy } from '../reshard/weight-source.js';
import { carryingTier, spillTier } from './kv-edges.js';
import { kvRoomIn } from './kv-places.js';
import { decodingPages, neutralPageBytes } from './kv-pools.js';

/** Bytes of KV that host memory has room for beside a copy of the weights, where these can come from a disk: of the longest sequence. */
export function kvBesideCopy(plan: Plan): number {
  return carryingTier(plan) === undefined ? 0 : decodingPages(plan) * neutralPageBytes(plan);
}

/**
 * Bytes that KV may take of a host tier: of the memory of the hosts beside devices that prefill, as it is they who put
 * pages out. What devices on other nodes put out when they run out of pages counts there as well.
 *
 * @param copyBytes of the copy of the weights in each host memory; 0 where there is none
 */
export function hostKvRoom(plan: Plan, tier: KvTier, copyBytes: number): number {
  const size = { modelBytes: copyBytes, kvBytes: kvBesideCopy(plan) };
  return kvRoomIn(plan, tier, ({ tier: host, group }) =>
    keepsCopy(plan.topology, group, host, size) ? host.capacity - copyBytes : host.capacity,
  );
}

/** The devices beside each host of a tier, in the order of devices; nothing where it is a single one. */
export function hostsOf(
  { topology, stages }: Plan,
  tier: KvTier,
): Pick<NonNullable<RuntimeGraph['hostTier']>, 'hosts'> {
  const hostOf = tierBeside(topology, tier.name);
  const used = new Set(stages.flatMap((stage) => stage.devices));
  const hosts = groupBy(
    [...used].sort((a, b) => a - b),
    hostOf,
  );
  return hosts.size < 2 ? {} : { hosts: [...hosts.values()] };
}

/** Pages that KV may take of the host tier at most, before it is known what a copy of the weights takes; 0 without a tier. */
export function mostHostPages(plan: Plan): number {
  return pagesIn(plan, carryingTier(plan));
}

/** Pages that KV may take of the disk tier; 0 without one. */
export function diskPages(plan: Plan): number {
  return pagesIn(plan, spillTier(plan));
}

function pagesIn(plan: Plan, tier: KvTier | undefined): number {
  return tier === undefined ? 0 : Math.floor(kvRoomIn(plan, tier) / neutralPageBytes(plan));
}

/**
 * Problems of a host tier that stages hand their KV over through, and that has little room for it.
 *
 * @param room that KV may take of it: see `hostKvRoom`
 */
export function handOverProblems(
  plan: Plan,
  edges: readonly KvReshard[],
  room: number,
  copyBytes: number,
): readonly Diagnostic[] {
  const edge = edges.find(({ path }) => path === 'tier');
  const tier = carryingTier(plan);
  const pageBytes = neutralPageBytes(plan);
  const pages = Math.floor(room / pageBytes);
  if (edge === undefined || tier === undefined || pages >= decodingPages(plan)) return [];
  const { from, to } = edge;
  const { name } = tier;
  const tokens = pages * plan.kv.pageTokens;
  const around = {
    primary: tier.origin,
    related: [{ ...edge.origin, label: `${from} and ${to} hold KV in different places` }],
    notes: [
      `${formatBytes(room)} = ${pages} pages of ${formatBytes(pageBytes)}`,
      ...(room < kvRoomIn(plan, tier)
        ? [`a copy of the weights takes ${formatBytes(copyBytes)} of host memory`]
        : []),
    ],
    helps: [`more room in \`${name}\`, or stages that hold KV in the same places`],
  };
  return [
    pages === 0
      ? report('no-page-to-hand-over', { tier: name, from, to, needed: formatBytes(pageBytes) }, around)
      : report(
          'hand-over-tight',
          { tier: name, from, to, tokens, context: plan.model.shape.context },
          around,
        ),
  ];
}

/** Bytes of the tensors that shards hold pieces of, each once, with the elements that devices have. */
export function copyBytesOf(shards: Iterable<Pick<WeightShard, 'weights'>>): number {
  const tensors = new Map<string, { rows: number; cols: number; element: number }>();
  for (const { weights } of shards)
    for (const { pieces, dtype } of weights)
      for (const { tensor, rows, cols } of pieces) {
        const element = bytesPerElement(dtype);
        const known = tensors.get(tensor);
        if (known === undefined) tensors.set(tensor, { rows: rows[1], cols: cols[1], element });
        else {
          known.rows = Math.max(known.rows, rows[1]);
          known.cols = Math.max(known.cols, cols[1]);
          known.element = Math.max(known.element, element);
        }
      }
  return [...tensors.values()].reduce((sum, { rows, cols, element }) => sum + rows * cols * element, 0);
}
