/**
 * Room on devices for packing KV pages on their way to and from the host tier: it is part of the workspace, and pools get
 * what it leaves.
 *
 * What packing takes depends on the pages that pools get, and those on what it takes. So pools are laid out, and again
 * with what they turned out to need set aside. Few pages need no more than they are themselves: where there is
 * little room, half of it is enough.
 */
import { moveBytesByDevice, PAGE_LIST_BYTES, packingBytes } from '../ir/page-packing.js';
import type { KvPool } from '../ir/runtime-graph.js';
import type { Plan } from '../plan/plan.js';
import { carryingTier } from './kv-edges.js';
import { layOutPools, type PoolDraft } from './kv-pools.js';

/** Bytes that packing takes by device, for those where it takes any. */
export function packingByDevice(plan: Plan, pools: readonly KvPool[]): ReadonlyMap<number, number> {
  if (carryingTier(plan) === undefined) return new Map();
  return new Map(
    [...moveBytesByDevice(pools)].flatMap(([device, moves]) =>
      moves.packed === 0 ? [] : [[device, packingBytes(moves)] as const],
    ),
  );
}

/** Gives each pool its pages. `room`: bytes left by device for them and for packing them. */
export function layOutPackedPools(
  plan: Plan,
  drafts: readonly PoolDraft[],
  room: ReadonlyMap<number, number>,
  maxBindingBytes: number,
): readonly KvPool[] {
  const kept = new Map<number, number>();
  for (;;) {
    const left = new Map([...room].map(([device, bytes]) => [device, bytes - (kept.get(device) ?? 0)]));
    const pools = layOutPools(plan, drafts, left, maxBindingBytes);
    const packing = [...packingByDevice(plan, pools)];
    const short = packing.filter(([device, bytes]) => bytes > (kept.get(device) ?? 0));
    if (short.length === 0) return pools;
    // Pages that lie in half of the room, less the list, take no more than the other half when packed.
    for (const [device, bytes] of short)
      kept.set(device, Math.min(bytes, Math.ceil((room.get(device)! + PAGE_LIST_BYTES) / 2)));
  }
}
