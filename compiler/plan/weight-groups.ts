/**
 * Blocks of quantised weights and `tp`. The products after attention and after the MLP's gate have K split over the
 * ranks; a rank's part must be whole blocks, or its weights would be other ones than those of the model.
 */
import type { ModelShape } from '../model/shape.js';
import { WEIGHT_FORMATS, type WeightType } from '../model/weight-types.js';

/** Dimensions that are columns of some weight. */
export type ColumnDim = 'heads' | 'ffn';

/** Columns that each of `tp` ranks holds of the weights that contract a dimension. */
export function columnsOfRank(shape: ModelShape, dim: ColumnDim, tp: number): number {
  return dim === 'ffn' ? shape.ffn / tp : (shape.heads * shape.headDim) / tp;
}

/** Whether splitting a dimension over `tp` leaves every block of the weights whole. */
export function keepsBlocks(shape: ModelShape, weights: WeightType, dim: ColumnDim, tp: number): boolean {
  return tp === 1 || columnsOfRank(shape, dim, tp) % WEIGHT_FORMATS[weights].block === 0;
}
