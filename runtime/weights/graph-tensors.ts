/** Which rectangles of which checkpoint tensors a runtime graph needs: the union over all stages and ranks. */
import type { RuntimeGraph, RuntimeWeight } from '../../compiler/ir/runtime-graph.js';
import type { Rectangle } from '../../compiler/ir/rectangles.js';
import type { WeightType } from '../../compiler/model/weight-types.js';

/** What of a tensor is needed. */
export interface NeededTensor {
  readonly name: string;
  /** Extent: one past the last row and column any rank needs. All ranks together need whole tensors. */
  readonly rows: number;
  readonly cols: number;
  /** Distinct rectangles, as ranks ask for them; they may overlap. */
  readonly rectangles: readonly Rectangle[];
  /** Element type on the devices, where all ranks agree on one. */
  readonly dtype?: WeightType;
}

/** Tensors of the graph by name, in the order first needed. */
export function neededTensors(graph: Pick<RuntimeGraph, 'stages'>): Map<string, NeededTensor> {
  const weights = graph.stages.flatMap((stage) => stage.shards.flatMap((shard) => shard.weights));
  return tensorsOfWeights(weights);
}

/** The same for a list of weights. */
export function tensorsOfWeights(weights: readonly RuntimeWeight[]): Map<string, NeededTensor> {
  const found = new Map<
    string,
    { rows: number; cols: number; rectangles: Map<string, Rectangle>; dtypes: Set<WeightType> }
  >();
  for (const { dtype, pieces } of weights) {
    for (const { tensor, rows, cols } of pieces) {
      const entry = found.get(tensor) ?? {
        rows: 0,
        cols: 0,
        rectangles: new Map<string, Rectangle>(),
        dtypes: new Set<WeightType>(),
      };
      entry.dtypes.add(dtype);
      entry.rows = Math.max(entry.rows, rows[1]);
      entry.cols = Math.max(entry.cols, cols[1]);
      entry.rectangles.set(`${rows.join()}/${cols.join()}`, { rows, cols });
      found.set(tensor, entry);
    }
  }
  return new Map(
    [...found].map(([name, { rows, cols, rectangles, dtypes }]) => {
      const [dtype] = dtypes;
      const agreed = dtypes.size === 1 && dtype !== undefined ? { dtype } : {};
      return [name, { name, rows, cols, rectangles: [...rectangles.values()], ...agreed }];
    }),
  );
}
