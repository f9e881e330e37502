/** What the lowerings of a block share: where they are in it, and how they add to the program. */
import type { LogicalOp } from '../ir/logical.js';
import type { KernelName, Operand } from '../ir/runtime-program.js';
import type { ShardedOp, ShardedValue } from '../ir/sharded.js';
import type { WeightType } from '../model/weight-types.js';
import { weightType, type MatrixWeight } from './block-weights.js';
import type { LoweringContext } from './lower-program.js';
import { groupSpan, type TpLayout } from './placement.js';
import { layerPrefix, type DraftValue, type ProgramBuilder } from './program-builder.js';

export interface BlockState {
  readonly builder: ProgramBuilder;
  readonly context: LoweringContext;
  readonly layout: TpLayout;
  readonly layer: number;
  readonly values: ReadonlyMap<string, ShardedValue>;
  readonly producers: ReadonlyMap<string, ShardedOp>;
  readonly weights: ReadonlyMap<string, MatrixWeight>;
  readonly ops: readonly ShardedOp[];
  /** Linear output -> the group it is computed in. */
  readonly groups: ReadonlyMap<string, LinearGroup>;
  /** Of the program value that a block value gets. */
  readonly shapeOf: (id: string) => ValueShape;
  /** Rows that a rank has of a weight, padding included. */
  readonly rowsOf: (weight: MatrixWeight) => number;
  /** Block value -> program value. */
  readonly env: Map<string, number>;
}

export type ValueShape = Pick<DraftValue, 'rows' | 'cols'>;

export interface LinearGroup {
  readonly id: 'qkv' | 'gate_up';
  readonly linears: readonly LogicalOp[];
}

/** Of every norm of the model. */
export function normParams(state: BlockState): { readonly eps: number; readonly offset?: number } {
  const { normEps, unitNorms } = state.context.shape;
  return { eps: normEps, ...(unitNorms && { offset: 1 }) };
}

interface KernelBody {
  readonly params: Readonly<Record<string, number>>;
  readonly operands: readonly Operand[];
  readonly dtype?: WeightType;
}

/** Emits a kernel whose dispatch is sized by the rows of `sizedBy`. */
export function emitKernel(
  state: BlockState,
  op: LogicalOp,
  kernel: KernelName,
  sizedBy: number,
  body: KernelBody,
): void {
  const layer = state.layer < 0 ? {} : { layer: state.layer };
  const origin = state.values.get(op.output)!.origin;
  const rows = state.builder.rowsOf(sizedBy);
  state.builder.emit({ op: 'kernel', kernel, rows, ...body, ...layer, origin });
}

/** Makes the program value of an op's output, with this rank's columns. */
export function outputValue(state: BlockState, op: ShardedOp, name: string): number {
  const { rows, cols } = state.shapeOf(op.output);
  const value = state.builder.value(valueName(state, name), rows, cols);
  state.env.set(op.output, value);
  return value;
}

/** What a rank has of a block value. */
export function shapeOf({ type, sharding }: ShardedValue, layout: TpLayout): ValueShape {
  const sized = type.dims.filter((dim) => dim.size !== undefined);
  const rows = type.dims.some((dim) => dim.name === 'samples') ? 'samples' : 'tokens';
  return { rows, cols: groupSpan(sized, sharding, layout, 0).extent };
}

/** The program value that a block value lies in. */
export function valueOf(state: BlockState, id: string): number {
  const value = state.env.get(id);
  if (value === undefined) throw new Error(`${id} is used before it is computed`);
  return value;
}

/** The weight that sharded weights make together, registered with the program. */
export function weightOperand(state: BlockState, name: string, parts: readonly MatrixWeight[]): Operand {
  const id = valueName(state, name);
  const dtype = weightType(parts[0]!, state.layer);
  return { weight: state.builder.weight({ id, dtype, layer: state.layer, parts }) };
}

/** Name of a value or a weight of this block in the program. */
export function valueName({ layer }: BlockState, name: string): string {
  return layer < 0 ? name : layerPrefix(layer) + name;
}
