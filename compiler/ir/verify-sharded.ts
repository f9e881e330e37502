/**
 * Verifies a sharded graph: what holds of every block, plus that shardings agree on every edge, that partial sums
 * reach only ops that may see them, and that pipeline segments and layer classes each cover all layers once.
 * It states the rules anew from the op and collective tables; it does not ask the pass that made the graph.
 */
import type { Mesh } from '../plan/plan.js';
import { COLLECTIVES } from './collective-table.js';
import type { DimName, LogicalGraph, LogicalOp } from './logical.js';
import { hasDim, OPS, sizeOf } from './op-table.js';
import { isCollective } from './print-sharded.js';
import type {
  MeshAxis,
  ShardedBlock,
  ShardedGraph,
  ShardedStage,
  ShardedValue,
  Sharding,
} from './sharded.js';
import { axesOf, partsOf, sameAxes, sameSharding } from './sharding-algebra.js';
import { verifyBlock } from './verify-block.js';

/** Problems of a sharded graph; empty when it is sound. A problem is a bug of the compiler, not of a plan. */
export function verifySharded(graph: ShardedGraph, logical: LogicalGraph): readonly string[] {
  return graph.stages.flatMap((stage) =>
    verifyStage(stage, logical).map((problem) => `stage ${stage.name}: ${problem}`),
  );
}

function verifyStage(stage: ShardedStage, logical: LogicalGraph): string[] {
  const { mesh, segments } = stage;
  const { layers } = logical.shape;
  const blocks = [stage.embed, ...new Set(stage.layers.map((layer) => layer.block)), stage.head];
  const problems = blocks.flatMap((block) => [
    ...verifyBlock({
      ...block,
      steps: block.ops.map((op) =>
        isCollective(op)
          ? ({ kind: 'copy', id: op.id, input: op.inputs[0], output: op.output } as const)
          : ({ kind: 'op', op } as const),
      ),
    }),
    ...verifyShardings(block, stage).map((problem) => `${block.name}: ${problem}`),
    ...missingOps(block, logical),
  ]);
  const ranks = mesh.dp * mesh.pp * mesh.tp;
  if (stage.devices.length !== ranks) problems.push(`${ranks} ranks on ${stage.devices.length} devices`);
  if (new Set(stage.devices).size !== stage.devices.length) problems.push('a device has two ranks');
  if (!covers(stage.layers, layers)) problems.push('the layer classes do not cover every layer once');
  if (!covers(segments, layers)) problems.push('the pipeline segments do not cover every layer once');
  segments.forEach((segment, index) => {
    const last = index === mesh.pp - 1;
    if (segment.pp !== index || segment.embed !== (index === 0) || segment.head !== last)
      problems.push(`segment ${index} holds what another should`);
    if (segment.sendsTo !== (last ? undefined : index + 1))
      problems.push(`segment ${index} sends to ${segment.sendsTo}`);
  });
  if (segments.length !== mesh.pp) problems.push(`${segments.length} segments for pp ${mesh.pp}`);
  problems.push(...verifyJoins(stage));
  return problems;
}

/** Whether the runs, in order, cover layers 0 to `layers - 1` without gap or overlap. */
function covers(
  runs: readonly { readonly firstLayer: number; readonly lastLayer: number }[],
  layers: number,
): boolean {
  let next = 0;
  for (const run of runs) {
    if (run.firstLayer !== next || run.lastLayer < run.firstLayer) return false;
    next = run.lastLayer + 1;
  }
  return next === layers;
}

/** Blocks hand each other the residual stream in one layout; pages lie alike in all layers. */
function verifyJoins(stage: ShardedStage): string[] {
  const find = (block: ShardedBlock, id: string): ShardedValue | undefined =>
    block.values.find((value) => value.id === id);
  const chain = [stage.embed, ...stage.layers.map((layer) => layer.block), stage.head];
  const problems: string[] = [];
  chain.slice(1).forEach((block, index) => {
    const output = find(chain[index]!, chain[index]!.output);
    const input = find(block, block.input);
    if (output && input && !sameSharding(output.sharding, input.sharding))
      problems.push(
        `${chain[index]!.name} hands over ${output.id} in another layout than ${block.name} takes`,
      );
  });
  const pages = stage.layers.map(({ block }) => find(block, 'kv'));
  if (pages.some((kv) => !kv || !sameSharding(kv.sharding, pages[0]!.sharding)))
    problems.push('KV pages lie differently in different layers');
  return problems;
}

/** Every op of the logical block is there, once and in order; only collectives are added. */
function missingOps(block: ShardedBlock, logical: LogicalGraph): string[] {
  const expected = logical.blocks.find((candidate) => candidate.name === block.name)?.ops ?? [];
  const actual = block.ops.filter((op) => !isCollective(op));
  const name = (op: { readonly id: string; readonly kind: string }): string => `${op.id}:${op.kind}`;
  return expected.map(name).join() === actual.map(name).join()
    ? []
    : [`${block.name}: its ops are not those of the logical block`];
}

function verifyShardings(block: ShardedBlock, stage: ShardedStage): string[] {
  const values = new Map(block.values.map((value) => [value.id, value]));
  const problems = block.values.flatMap((value) => verifyValue(value, stage));
  for (const op of block.ops) {
    const operands = op.inputs.map((id) => values.get(id));
    const output = values.get(op.output);
    if (!output || operands.some((operand) => !operand)) continue;
    if (isCollective(op)) {
      const expected = COLLECTIVES[op.kind].result(operands[0]!.sharding, op.axis, op.dim);
      if (typeof expected === 'string') problems.push(`${op.id}: ${expected}`);
      else if (!sameSharding(expected, output.sharding))
        problems.push(`${op.id}: its output is not what ${op.kind} gives`);
      if (op.axis !== 'tp') problems.push(`${op.id}: ranks along ${op.axis} do not take this step together`);
      if (op.reason === '') problems.push(`${op.id}: inserted without a reason`);
    } else problems.push(...verifyEdge(op, operands as ShardedValue[], output));
  }
  return problems;
}

/** Axes exist, are used once, and cut dimensions into equal blocks (the vocabulary alone may be padded). */
function verifyValue(value: ShardedValue, stage: ShardedStage): string[] {
  const { mesh, kvReplicas } = stage;
  const problems: string[] = [];
  const used: MeshAxis[] = [...value.sharding.partial];
  for (const [name, axes] of Object.entries(value.sharding.dims) as [DimName, readonly MeshAxis[]][]) {
    used.push(...axes);
    if (!hasDim(value.type, name)) problems.push(`${value.id} has no ${name} to split`);
    const size = sizeOf(value.type, name);
    if (size !== undefined && name !== 'vocab' && !dividesEvenly(name, size, axes, mesh, kvReplicas))
      problems.push(`${name} (${size}) of ${value.id} does not divide over ${axes.join(', ')}`);
  }
  if (new Set(used).size !== used.length) problems.push(`${value.id} uses an axis twice`);
  if (used.some((axis) => axis === 'pp' || mesh[axis] === 1))
    problems.push(`${value.id} is laid over an axis that splits no value`);
  return problems;
}

function dividesEvenly(
  dim: DimName,
  size: number,
  axes: readonly MeshAxis[],
  mesh: Mesh,
  kvReplicas: number,
): boolean {
  const parts = partsOf(mesh, axes);
  return dim === 'kv_heads' && kvReplicas > 1 ? size * kvReplicas === parts : size % parts === 0;
}

/** The op's demands on its operands, and the output's sharding, from the op table. */
function verifyEdge(op: LogicalOp, operands: readonly ShardedValue[], output: ShardedValue): string[] {
  const rule = OPS[op.kind];
  const problems: string[] = [];
  const alias = (dim: DimName): DimName => (rule.tied?.includes(dim) ? rule.tied[0] : dim);
  const axes = new Map<DimName, readonly MeshAxis[]>();
  for (const operand of operands) {
    for (const { name } of operand.type.dims) {
      const here = axesOf(operand.sharding, name);
      if (name === rule.picked && here.length === 0) continue;
      const known = axes.get(alias(name));
      if (known && !sameAxes(known, here)) problems.push(`${op.id}: operands disagree on ${name}`);
      axes.set(alias(name), here);
      if (rule.whole.includes(name) && here.length > 0) problems.push(`${op.id} needs all of ${name}`);
    }
  }
  const kept = new Set(output.type.dims.map((dim) => alias(dim.name)));
  const summed = [...axes].filter(([dim]) => rule.lost === 'contracted' && !kept.has(dim));
  const contracted = [...new Set(summed.flatMap(([, split]) => split))];
  operands.forEach((operand, index) => {
    const { partial } = operand.sharding;
    const allowed =
      rule.operands[index]?.name === 'bias' ? contracted : rule.linearInInput ? partial : ([] as const);
    if (!sameSet(partial, allowed)) problems.push(`${op.id} may not read the partial ${operand.id}`);
  });
  const passed = rule.linearInInput ? operands[0]!.sharding.partial : [];
  const expected: Sharding = {
    dims: Object.fromEntries(output.type.dims.map(({ name }) => [name, axes.get(alias(name)) ?? []])),
    partial: [...passed, ...contracted],
  };
  if (!sameSharding(expected, output.sharding))
    problems.push(`${op.id}: its output does not lie as its operands make it`);
  return problems;
}

function sameSet(a: readonly MeshAxis[], b: readonly MeshAxis[]): boolean {
  return a.length === b.length && a.every((axis) => b.includes(axis));
}
