/**
 * One block of the logical graph laid over a mesh.
 *
 * State: the sharding of every value so far. Invariant: an op is emitted only with operands laid out as its op-table
 * entry demands. Step: for each op, decide how each of its dimensions is split, bring every activation into that
 * layout by inserting collectives, and derive the output's sharding.
 *
 * Weights and KV pages lie where the plan puts them; activations adapt. Per dimension the decision is
 * 1. whole, when the op mixes its elements;
 * 2. for tied dimensions (query and kv heads): split if either side is, because cutting the other side is free; pages
 *    with all kv heads stay as they are, since query heads find theirs among them;
 * 3. as the fixed operand has it;
 * 4. as the activations have it.
 *
 * Example, tp = 2: `down = linear(gated[tokens, ffn@tp], w[hidden, ffn@tp])` contracts ffn, so `down` is
 * `[tokens, hidden]{partial tp}`; `add(x, down)` needs finished sums, so `down_reduced = all_reduce<tp>(down)` comes
 * between.
 *
 * A bias of a linear whose output is partial is itself marked partial over the same axes: a sum over ranks that is
 * the bias. The first rank of the axis holds it and the others hold zeros.
 */
import type { Origin } from '../diagnostics/diagnostic.js';
import { COLLECTIVES } from '../ir/collective-table.js';
import type { DimName, LogicalBlock, LogicalOp, LogicalValue } from '../ir/logical.js';
import { hasDim, OPS, type OpRule } from '../ir/op-table.js';
import type {
  CollectiveOp,
  MeshAxis,
  ShardedBlock,
  ShardedOp,
  ShardedValue,
  Sharding,
} from '../ir/sharded.js';
import { axesOf, REPLICATED, withAxes } from '../ir/sharding-algebra.js';
import { collectivesOf, type CollectiveStep, type LayoutMove } from '../reshard/layouts.js';

/** Where the plan puts the things that do not move, and which of its tokens says so. */
export interface BlockLayout {
  /** Axes of a dimension of a weight that ops of `part` read. */
  readonly weightAxes: (dim: DimName, part: LogicalOp['part']) => readonly MeshAxis[];
  /** Axes of a dimension of the KV pages. */
  readonly kvAxes: (dim: DimName) => readonly MeshAxis[];
  /** Axes of `tokens` and `samples`: how requests are dealt to replicas. */
  readonly rowAxes: readonly MeshAxis[];
  /** The cheapest collectives that bring a value into a layout; undefined when none do. */
  readonly findLayout: (value: ShardedValue, target: Sharding) => readonly LayoutMove[] | undefined;
  readonly origin: (part: LogicalOp['part']) => Origin;
}

/** Lays a block over the mesh. Its input and output are split by rows only: the residual stream is whole on a rank. */
export function shardBlock(block: LogicalBlock, layout: BlockLayout): ShardedBlock {
  const state = startState(block, layout);
  for (const op of block.ops) shardOp(op, state, layout);
  const last = block.ops.at(-1)!;
  const demand = `whatever follows the ${block.name} block reads whole sums`;
  const output = adapt(block.output, REPLICATED, [], last.part, demand, state, layout);
  return { name: block.name, input: block.input, output, values: state.values, ops: state.ops };
}

interface State {
  /** Logical values that are not yet in `values`. */
  readonly logical: ReadonlyMap<string, LogicalValue>;
  readonly placed: Map<string, ShardedValue>;
  readonly values: ShardedValue[];
  readonly ops: ShardedOp[];
  /** Why a value is partial, for the `reason` of the all-reduce. */
  readonly partialBecause: Map<string, string>;
}

function startState(block: LogicalBlock, layout: BlockLayout): State {
  const state: State = {
    logical: new Map(block.values.map((value) => [value.id, value])),
    placed: new Map(),
    values: [],
    ops: [],
    partialBecause: new Map(),
  };
  const input = state.logical.get(block.input)!;
  place(
    input,
    split(input, () => layout.rowAxes, ['tokens', 'samples']),
    layout.origin(block.ops[0]!.part),
    state,
  );
  return state;
}

function shardOp(op: LogicalOp, state: State, layout: BlockLayout): void {
  const rule = OPS[op.kind];
  placeFixed(op, rule, state, layout);
  const operands = op.inputs.map((id) => state.placed.get(id));
  const output = state.logical.get(op.output)!;
  const present = operands.filter((operand) => operand !== undefined);
  const dims = [...new Set(present.flatMap((operand) => operand.type.dims.map((dim) => dim.name)))];
  const wanted: Partial<Record<DimName, readonly MeshAxis[]>> = {};
  for (const dim of dims) wanted[dim] = wantedAxes(dim, rule, present);
  const partial = contractedAxes(rule, output, wanted);

  const inputs = op.inputs.map((id, index) => {
    const operand = operands[index];
    if (operand === undefined) {
      placeBias(state.logical.get(id)!, wanted, partial, layout.origin(op.part), state);
      return id;
    }
    if (isFixed(operand)) return id;
    const keep = rule.linearInInput ? operand.sharding.partial : [];
    const target: Sharding = { dims: pick(wanted, operand), partial: keep };
    return adapt(id, target, dims, op.part, `${op.id} needs`, state, layout);
  });

  const [first] = inputs.map((id) => state.placed.get(id)!);
  const passed = rule.linearInInput ? first!.sharding.partial : [];
  const sharding = outputSharding(op, rule, output, wanted, [...passed, ...partial], state);
  if (partial.length > 0) {
    const summed = dims.filter((dim) => !hasDim(output.type, dim) && wanted[dim]!.length > 0);
    state.partialBecause.set(op.output, `${op.id} sums over ${summed.join(' and ')}`);
  }
  state.ops.push({ ...op, inputs });
  place(output, sharding, layout.origin(op.part), state);
}

/** Places the operands that the plan decides: weights, except a bias (which follows its op), and KV pages. */
function placeFixed(op: LogicalOp, rule: OpRule, state: State, layout: BlockLayout): void {
  const origin = layout.origin(op.part);
  op.inputs.forEach((id, index) => {
    const value = state.logical.get(id)!;
    if (state.placed.has(id) || rule.operands[index]!.name === 'bias') return;
    if (value.kind === 'weight')
      place(
        value,
        split(value, (dim) => layout.weightAxes(dim, op.part)),
        origin,
        state,
      );
    if (value.kind === 'kv') place(value, split(value, layout.kvAxes), origin, state);
  });
}

function placeBias(
  bias: LogicalValue,
  wanted: Sharding['dims'],
  partial: readonly MeshAxis[],
  origin: Origin,
  state: State,
): void {
  const sharding = split(bias, (dim) => wanted[dim] ?? []);
  place(bias, { ...sharding, partial }, origin, state);
}

/** Weights and pages never move. */
function isFixed(operand: ShardedValue): boolean {
  return operand.kind === 'weight' || operand.kind === 'kv';
}

function wantedAxes(dim: DimName, rule: OpRule, operands: readonly ShardedValue[]): readonly MeshAxis[] {
  if (rule.whole.includes(dim)) return [];
  if (rule.tied?.includes(dim)) {
    const whole = operands.some(
      (operand) => hasDim(operand.type, dim) && axesOf(operand.sharding, dim).length === 0,
    );
    if (rule.picked === dim && whole) return [];
    const sides = operands.flatMap((operand) => rule.tied!.map((tied) => axesOf(operand.sharding, tied)));
    return sides.find((axes) => axes.length > 0) ?? [];
  }
  const having = operands.filter((operand) => hasDim(operand.type, dim));
  const fixed = having.find(isFixed);
  if (fixed) return axesOf(fixed.sharding, dim);
  return having.map((operand) => axesOf(operand.sharding, dim)).find((axes) => axes.length > 0) ?? [];
}

function contractedAxes(rule: OpRule, output: LogicalValue, wanted: Sharding['dims']): readonly MeshAxis[] {
  if (rule.lost !== 'contracted') return [];
  const lost = (Object.keys(wanted) as DimName[]).filter(
    (dim) => !hasDim(output.type, dim) && !rule.tied?.includes(dim),
  );
  return [...new Set(lost.flatMap((dim) => wanted[dim]!))];
}

function outputSharding(
  op: LogicalOp,
  rule: OpRule,
  output: LogicalValue,
  wanted: Sharding['dims'],
  partial: readonly MeshAxis[],
  state: State,
): Sharding {
  if (output.kind === 'kv') return state.placed.get(op.inputs.at(-1)!)!.sharding;
  const tiedAxes = rule.tied?.map((dim) => wanted[dim] ?? []).find((axes) => axes.length > 0) ?? [];
  const sharding = split(output, (dim) => wanted[dim] ?? (rule.tied?.includes(dim) ? tiedAxes : []));
  return { ...sharding, partial };
}

/**
 * The value in the layout `target` for the dimensions `dims` (others stay as they are, and so do partial sums that
 * `target` allows), by the cheapest sequence of collectives over the links of the mesh.
 */
function adapt(
  id: string,
  target: Sharding,
  dims: readonly DimName[],
  part: LogicalOp['part'],
  demand: string,
  state: State,
  layout: BlockLayout,
): string {
  const value = state.placed.get(id)!;
  const { sharding } = value;
  const because = state.partialBecause.get(id) ?? 'its producer leaves it partial';
  const wanted = dims
    .filter((dim) => hasDim(value.type, dim))
    .reduce((result, dim) => withAxes(result, dim, axesOf(target, dim)), sharding);
  const partial = sharding.partial.filter((axis) => target.partial.includes(axis));
  const moves = layout.findLayout(value, { ...wanted, partial });
  if (!moves) throw new Error(`${id} cannot be laid out as ${demand}`);
  const reasons: Readonly<Record<CollectiveOp['kind'], (step: CollectiveStep) => string>> = {
    all_reduce: ({ axis }) => `${because}, which \`${axis}\` splits: every rank has a part of the sum`,
    reduce_scatter: ({ axis, dim }) =>
      `${because}, which \`${axis}\` splits, and ${demand} its own part of ${dim}`,
    all_gather: ({ dim }) => `${demand} all of ${dim}`,
    slice: ({ dim }) => `${demand} its own part of ${dim}`,
  };
  return moves
    .flatMap(collectivesOf)
    .reduce((at, step) => insertCollective(at, step, part, reasons[step.kind](step), state, layout), id);
}

/** Emits a collective, or finds the one that an earlier consumer has already asked for. */
function insertCollective(
  input: string,
  { kind, axis, dim }: CollectiveStep,
  part: LogicalOp['part'],
  reason: string,
  state: State,
  layout: BlockLayout,
): string {
  const earlier = state.ops.find(
    (op): op is CollectiveOp =>
      'axis' in op && op.kind === kind && op.inputs[0] === input && op.axis === axis && op.dim === dim,
  );
  if (earlier) return earlier.output;
  const value = state.placed.get(input)!;
  const sharding = COLLECTIVES[kind].result(value.sharding, axis, dim);
  if (typeof sharding === 'string') throw new Error(`${kind} of ${input}: ${sharding}`);
  const output = `${input}_${SUFFIX[kind]}`;
  const origin = layout.origin(part);
  state.ops.push({
    id: output,
    kind,
    axis,
    ...(dim !== undefined && { dim }),
    inputs: [input],
    output,
    part,
    origin,
    reason,
  });
  place({ ...value, id: output }, sharding, origin, state);
  return output;
}

const SUFFIX: Readonly<Record<CollectiveOp['kind'], string>> = {
  all_reduce: 'reduced',
  all_gather: 'gathered',
  reduce_scatter: 'scattered',
  slice: 'sliced',
};

function place(value: LogicalValue, sharding: Sharding, origin: Origin, state: State): void {
  const placed: ShardedValue = { ...value, sharding, origin };
  state.placed.set(value.id, placed);
  state.values.push(placed);
}

/** The sharding that gives each of a value's dimensions (or only those in `among`) the axes that `axes` says. */
function split(
  value: LogicalValue,
  axes: (dim: DimName) => readonly MeshAxis[],
  among?: readonly DimName[],
): Sharding {
  return value.type.dims
    .filter((dim) => !among || among.includes(dim.name))
    .reduce((sharding, dim) => withAxes(sharding, dim.name, axes(dim.name)), REPLICATED);
}

function pick(wanted: Sharding['dims'], operand: ShardedValue): Sharding['dims'] {
  return split(operand, (dim) => wanted[dim] ?? []).dims;
}
