/** KV pages of an interpreted pool: they start as NaN, so that what was never written shows. */
import type { KvPool, RuntimeGraph } from '../../compiler/ir/runtime-graph.js';

export interface OpenPool {
  /** K and V of one token of one local head: `[2, head_dim]`. */
  readonly entry: (device: number, group: number, layer: number, head: number, slot: number) => Float64Array;
  /** Visits every (layer, head) of a slice of a page by its global name. */
  readonly forEach: (
    slice: { device: number; layers: readonly [number, number]; heads: readonly [number, number] },
    page: number,
    visit: (key: string, data: Float64Array) => void,
  ) => void;
}

export function openPool(pool: KvPool, graph: RuntimeGraph): OpenPool {
  const { pageTokens } = graph.kv;
  const headSize = pageTokens * 2 * graph.model.shape.headDim;
  const entrySize = 2 * graph.model.shape.headDim;
  const ranks = new Map(
    pool.ranks.map((rank) => {
      const heads = rank.heads[1] - rank.heads[0];
      const buffers = rank.groups.map((group) =>
        new Float64Array(pool.pages * (group[1] - group[0]) * heads * headSize).fill(NaN),
      );
      return [rank.device, { ...rank, count: heads, buffers }];
    }),
  );
  const headAt = (device: number, group: number, page: number, layer: number, head: number): Float64Array => {
    const rank = ranks.get(device)!;
    const layers = rank.groups[group]![1] - rank.groups[group]![0];
    if (page >= pool.pages || layer >= layers || head >= rank.count) throw new Error('outside the pool');
    const at = ((page * layers + layer) * rank.count + head) * headSize;
    return rank.buffers[group]!.subarray(at, at + headSize);
  };
  return {
    entry(device, group, layer, head, slot) {
      const at = (slot % pageTokens) * entrySize;
      const data = headAt(device, group, Math.floor(slot / pageTokens), layer, head);
      return data.subarray(at, at + entrySize);
    },
    forEach({ device, layers, heads }, page, visit) {
      const rank = ranks.get(device)!;
      for (let layer = layers[0]; layer < layers[1]; layer++) {
        const group = rank.groups.findIndex(([start, end]) => start <= layer && layer < end);
        for (let head = heads[0]; head < heads[1]; head++) {
          const local = [layer - rank.groups[group]![0], head - rank.heads[0]] as const;
          visit(`layer ${layer} head ${head}`, headAt(device, group, page, ...local));
        }
      }
    },
  };
}
