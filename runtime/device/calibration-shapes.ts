/**
 * Shapes of a plan's kernels, for calibrations: what a kernel reaches depends on them. On software devices attention to
 * heads of 16 has two thirds of the speed that it has with heads of 32.
 */
import type { Plan, Stage } from '../../compiler/plan/plan.js';
import type { CalibrationLayer } from './calibration-kernels.js';

export interface CalibrationShapes {
  readonly layer: CalibrationLayer;
  /** Outputs and inputs of matrix products. */
  readonly shapes: readonly (readonly [n: number, k: number])[];
}

/** A rank's part of a layer where the plan decodes, and of the products of all its stages. */
export function shapesOf({ model: { shape }, stages }: Plan): CalibrationShapes {
  const layerOf = ({ mesh: { tp } }: Stage): CalibrationLayer => ({
    heads: Math.ceil(shape.heads / tp),
    kvHeads: Math.ceil(shape.kvHeads / tp),
    headDim: shape.headDim,
    hidden: shape.hidden,
    ffn: Math.ceil(shape.ffn / tp),
  });
  const decoding = stages.find(({ phases }) => phases.includes('decode')) ?? stages[0]!;
  const products = stages.map(layerOf).flatMap(productsOf);
  const byName = new Map(products.map((each) => [each.join(), each]));
  return { layer: layerOf(decoding), shapes: [...byName.values()] };
}

/** Queries, keys and values; what becomes of them; both halves of the MLP's input; its output. */
function productsOf({ heads, kvHeads, headDim, hidden, ffn }: CalibrationLayer): CalibrationShapes['shapes'] {
  return [
    [(heads + 2 * kvHeads) * headDim, hidden],
    [hidden, heads * headDim],
    [2 * ffn, hidden],
    [hidden, ffn],
  ];
}
