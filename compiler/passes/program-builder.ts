/** What the lowering of a pipeline stage writes into: values, ops in order, and the recipes of the weights they use. */
import type { DraftOp } from '../ir/op-access.js';
import type { Operand } from '../ir/runtime-program.js';
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

/** Of the first value, op and recipe of some part of a program. */
export type Position = Readonly<Record<keyof DraftProgram, number>>;

/** What a layer came to in a program. */
export interface WrittenLayer {
  readonly layer: number;
  readonly from: Position;
  readonly to: Position;
  /** The value that enters it, and the one that leaves it. */
  readonly input: number;
  readonly output: number;
}

export interface ProgramBuilder {
  readonly value: (name: string, rows: DraftValue['rows'], cols: number) => number;
  readonly rowsOf: (value: number) => DraftValue['rows'];
  readonly colsOf: (value: number) => number;
  readonly emit: (op: DraftOp) => void;
  /** Registers a weight and returns its id; an equal one registered before is shared. */
  readonly weight: (recipe: WeightRecipe) => string;
  /** Where the next things come to stand. */
  readonly here: () => Position;
  /** Writes once more what a layer wrote, for another that differs in its number alone. Returns the value that leaves it. */
  readonly repeat: (written: WrittenLayer, layer: number, input: number) => number;
  readonly finish: () => DraftProgram;
}

export function createProgramBuilder(): ProgramBuilder {
  const values: DraftValue[] = [];
  const ops: DraftOp[] = [];
  const recipes: WeightRecipe[] = [];
  const known = new Map<string, string>();
  const signature = signatures();
  const here = (): Position => ({ values: values.length, ops: ops.length, recipes: recipes.length });
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
    here,
    repeat(written, layer, input) {
      const from = here();
      const copy = layerCopy(written, from, layer, input);
      for (let i = written.from.values; i < written.to.values; i++)
        values.push({ ...values[i]!, id: copy.value(i), name: copy.name(values[i]!.name) });
      for (let i = written.from.ops; i < written.to.ops; i++) ops.push(copy.op(ops[i]!));
      // No weight of another layer is equal.
      for (let i = written.from.recipes; i < written.to.recipes; i++)
        recipes.push({ ...recipes[i]!, id: copy.name(recipes[i]!.id), layer });
      return copy.value(written.output);
    },
    finish: () => ({ values, ops, recipes }),
  };
}

/** How values, names and ops of a layer are called in another, whose values begin at `from`. */
function layerCopy(
  { layer, from: { values: first }, input }: WrittenLayer,
  from: Position,
  toLayer: number,
  toInput: number,
): {
  readonly value: (value: number) => number;
  readonly name: (name: string) => string;
  readonly op: (op: DraftOp) => DraftOp;
} {
  const [before, after] = [layerPrefix(layer), layerPrefix(toLayer)];
  const name = (known: string): string => after + known.slice(before.length);
  const value = (known: number): number => (known === input ? toInput : known - first + from.values);
  const operand = (known: Operand): Operand => {
    if ('value' in known) return { value: value(known.value) };
    return 'weight' in known ? { weight: name(known.weight) } : known;
  };
  return {
    value,
    name,
    op(known) {
      if (known.op === 'kernel') {
        const { params } = known;
        return {
          ...known,
          params: 'layer' in params ? { ...params, layer: toLayer } : params,
          operands: known.operands.map(operand),
          layer: toLayer,
        };
      }
      if (known.op !== 'collective') throw new Error(`a layer has no ${known.op}`);
      const moved = { ...known, value: value(known.value), layer: toLayer };
      return moved.kind === 'all_reduce' ? moved : { ...moved, out: value(moved.out) };
    },
  };
}

/** What names of a layer's values and weights begin with. */
export function layerPrefix(layer: number): string {
  return `layers.${layer}.`;
}

/** Equal for weights of the same tensors in the same sharding: a tied embedding is one buffer. */
function signatures(): (recipe: WeightRecipe) => string {
  const partSignature = once(({ value, firstRankOnly }: MatrixWeight) =>
    JSON.stringify([value.tensor, value.firstRow, value.sharding.dims, firstRankOnly]),
  );
  return ({ dtype, layer, parts }) => `${dtype} ${layer} ${parts.map(partSignature).join()}`;
}
