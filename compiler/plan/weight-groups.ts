/**
 * Blocks of quantised weights and `tp`. The products after attention and after the MLP's gate have K split over the
 * ranks; a rank's part must be whole blocks, or its weights would be other ones than those of the model.
 */
import { WEIGHT_FORMATS, type WeightType } from '../model/weight-types.js';
import type { ModelShape, ModelSpec } from '../model/shape.js';

/** Dimensions that are columns of some weight. */
export type ColumnDim = 'heads' | 'ffn';

/** Columns that each of `tp` ranks holds of the weights that contract a dimension. */
export function columnsOfRank(shape: ModelShape, dim: ColumnDim, tp: number): number {
  return dim === 'ffn' ? shape.ffn / tp : (shape.heads * shape.headDim) / tp;
}

/** What decides how a model can be cut. */
export type SizedModel = Pick<ModelSpec, 'shape' | 'weights' | 'stored'>;

const CONTRACTING: Readonly<Record<ColumnDim, string>> = {
  heads: 'self_attn.o_proj.weight',
  ffn: 'mlp.down_proj.weight',
};

/** The type with the largest blocks among the weights that contract a dimension. */
export function contractingType({ weights, stored }: SizedModel, dim: ColumnDim): WeightType {
  const types = Object.entries(stored ?? {})
    .filter(([tensor]) => tensor.endsWith(CONTRACTING[dim]))
    .map(([, type]) => type);
  if (types.length === 0) return weights;
  return types.reduce((largest, type) =>
    WEIGHT_FORMATS[type].block > WEIGHT_FORMATS[largest].block ? type : largest,
  );
}

/** Whether splitting a dimension over `tp` leaves every block of the weights whole. Blocks are powers of two. */
export function keepsBlocks(model: SizedModel, dim: ColumnDim, tp: number): boolean {
  const { block } = WEIGHT_FORMATS[contractingType(model, dim)];
  return tp === 1 || columnsOfRank(model.shape, dim, tp) % block === 0;
}
