/** What the lowering of a pipeline stage writes into: values, ops in order, and the recipes of the weights they use. */
import type { DraftOp } from '../ir/op-access.js';
import type { WeightType } from '../model/weight-types.js';
import { once } from '../once.js';
import type { MatrixWeight } from './block-weights.js';

/** A value before it has a slot. */
export interface DraftValue {
  readonly id: number;
  readonly name: string;
  readonly rows: 'tokens' | 'samples';
  readonly cols: number;
}

/** One weight buffer, made of sharded weights stacked by rows (matrices) or laid end to end (vectors). */
export interface WeightRecipe {
  readonly id: string;
  readonly dtype: WeightType;
  /** -1 outside layers. */
  readonly layer: number;
  readonly parts: readonly MatrixWeight[];
}

/** A lowered pipeline stage before slots, dependencies and KV groups. */
export interface DraftProgram {
  readonly values: readonly DraftValue[];
  readonly ops: readonly DraftOp[];
  readonly recipes: readonly WeightRecipe[];
}

export interface ProgramBuilder {
  readonly value: (name: string, rows: DraftValue['rows'], cols: number) => number;
  readonly rowsOf: (value: number) => DraftValue['rows'];
  readonly colsOf: (value: number) => number;
  readonly emit: (op: DraftOp) => void;
  /** Registers a weight and returns its id; an equal one registered before is shared. */
  readonly weight: (recipe: WeightRecipe) => string;
  readonly finish: () => DraftProgram;
}

export function createProgramBuilder(): ProgramBuilder {
  const values: DraftValue[] = [];
  const ops: DraftOp[] = [];
  const recipes: WeightRecipe[] = [];
  const known = new Map<string, string>();
  const signature = signatures();
  return {
    value: (name, rows, cols) => values.push({ id: values.length, name, rows, cols }) - 1,
    rowsOf: (value) => values[value]!.rows,
    colsOf: (value) => values[value]!.cols,
    emit: (op) => void ops.push(op),
    weight: (recipe) => {
      const key = signature(recipe);
      const shared = known.get(key);
      if (shared !== undefined) return shared;
      known.set(key, recipe.id);
      recipes.push(recipe);
      return recipe.id;
    },
    finish: () => ({ values, ops, recipes }),
  };
}

/** Equal for weights of the same tensors in the same sharding: a tied embedding is one buffer. */
function signatures(): (recipe: WeightRecipe) => string {
  const partSignature = once(({ value, firstRankOnly }: MatrixWeight) =>
    JSON.stringify([value.tensor, value.firstRow, value.sharding.dims, firstRankOnly]),
  );
  return ({ dtype, layer, parts }) => `${dtype} ${layer} ${parts.map(partSignature).join()}`;
}
