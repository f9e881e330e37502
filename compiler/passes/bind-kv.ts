/**
 * Points the attention kernels of a draft program at the layer groups of the KV pool, once the pool is laid out:
 * the `kv` operand becomes the group's index, `layer` the layer's place in the group.
 */
import type { DraftOp } from '../ir/op-access.js';
import type { Interval } from '../ir/transitions.js';
import { intervalLength } from '../ir/rectangles.js';

export function bindKvGroups(ops: readonly DraftOp[], groups: readonly Interval[]): readonly DraftOp[] {
  return ops.map((op) => {
    if (op.op !== 'kernel' || (op.kernel !== 'rope_append' && op.kernel !== 'attention')) return op;
    const layer = op.layer!;
    const index = groups.findIndex((group) => group[0] <= layer && layer < group[1]);
    if (index < 0) throw new Error(`layer ${layer} is in no KV group`);
    const group = groups[index]!;
    return {
      ...op,
      params: { ...op.params, layer: layer - group[0], groupLayers: intervalLength(group) },
      operands: op.operands.map((operand) => ('kv' in operand ? { kv: index } : operand)),
    };
  });
}
