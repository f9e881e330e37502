/**
 * What a stage needs of a device's memory, from the shape alone: exact for weights but for alignment, and leaving
 * workspace out. Lowering knows every byte; this is for messages and for choosing meshes before anything is lowered.
 */
import { BYTES_OF, type DType, type ModelShape } from '../../model/shape.js';
import { bytesPerElement, tableType, vectorType, type WeightType } from '../../model/weight-types.js';
import type { LayerSharding, Mesh, Stage } from '../../plan/plan.js';

/** The parts of a stage that decide what its ranks hold. */
export interface StageLayout {
  readonly mesh: Mesh;
  readonly layerSplit: readonly number[];
  readonly sharding: LayerSharding;
  readonly overrides: Stage['overrides'];
}

/** Parts that a dimension of `sharding` is cut into. */
function ways(sharding: LayerSharding, dim: LayerSharding['onTp'][number], tp: number): number {
  if (!sharding.onTp.includes(dim)) return 1;
  return dim === 'kv_heads' ? tp / sharding.kvReplicas : tp;
}

/** KV heads that a rank holds. */
function kvHeadsOfRank(shape: ModelShape, layout: StageLayout): number {
  return shape.kvHeads / ways(layout.sharding, 'kv_heads', layout.mesh.tp);
}

/** Elements of the matrices that a rank multiplies by in one layer. */
export function matrixElements(shape: ModelShape, layout: StageLayout, layer: number): number {
  const { tp } = layout.mesh;
  const of = (part: 'attention' | 'mlp'): LayerSharding =>
    layout.overrides.findLast((o) => o.part === part && o.firstLayer <= layer && layer <= o.lastLayer)
      ?.sharding ?? layout.sharding;
  const heads = shape.heads / ways(of('attention'), 'heads', tp);
  const kvHeads = shape.kvHeads / ways(of('attention'), 'kv_heads', tp);
  const attention = (2 * heads + 2 * kvHeads) * shape.headDim * shape.hidden;
  const mlp = (3 * shape.hidden * shape.ffn) / ways(of('mlp'), 'ffn', tp);
  return attention + mlp;
}

/** Bytes of weights on the fullest rank of every pipeline stage. */
export function weightBytes(shape: ModelShape, weights: WeightType, layout: StageLayout): readonly number[] {
  const { pp, tp } = layout.mesh;
  const table = Math.ceil(shape.vocab / ways(layout.sharding, 'vocab', tp)) * shape.hidden;
  let first = 0;
  return layout.layerSplit.map((layers, i) => {
    let matrices = 0;
    // Without overrides one layer is as another.
    if (layout.overrides.length === 0) matrices = layers * matrixElements(shape, layout, first);
    else
      for (let layer = first; layer < first + layers; layer++)
        matrices += matrixElements(shape, layout, layer);
    first += layers;
    const isLast = i === pp - 1;
    const tables = (i === 0 ? table : 0) + (isLast && !(shape.tied && pp === 1) ? table : 0);
    const vectors = (2 * layers + (isLast ? 1 : 0)) * shape.hidden;
    return (
      matrices * bytesPerElement(weights) +
      tables * bytesPerElement(tableType(weights)) +
      vectors * BYTES_OF[vectorType(weights)]
    );
  });
}

/** Bytes of KV that one token takes on a rank of every pipeline stage. */
export function kvBytesPerToken(shape: ModelShape, kv: DType, layout: StageLayout): readonly number[] {
  const perLayer = 2 * kvHeadsOfRank(shape, layout) * shape.headDim * BYTES_OF[kv];
  return layout.layerSplit.map((layers) => layers * perLayer);
}
