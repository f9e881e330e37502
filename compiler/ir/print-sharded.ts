/** The sharded graph as text: as the logical graph, with a sharding on every type and the reason of every inserted op. */
import { COLLECTIVES } from './collective-table.js';
import {
  aligned,
  braced,
  printIds,
  printMesh,
  printOrigin,
  printRun,
  printTensor,
  printType,
  type PrintOptions,
} from './print.js';
import type {
  CollectiveOp,
  PipelineSegment,
  ShardedBlock,
  ShardedGraph,
  ShardedOp,
  ShardedStage,
} from './sharded.js';

/** Stable text of a sharded graph, ending in a line break. */
export function printSharded(graph: ShardedGraph, options: PrintOptions = {}): string {
  const lines = [
    `sharded ${graph.model}`,
    ...graph.stages.flatMap((stage) => ['', ...printStage(stage, options)]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Whether an op of a sharded block is one that the compiler inserted. */
export function isCollective(op: ShardedOp): op is CollectiveOp {
  return 'axis' in op;
}

/** `all_reduce<tp>(o)`, `all_gather<tp, heads>(attended)`. */
export function printCollective(op: CollectiveOp): string {
  const dim = COLLECTIVES[op.kind].takesDim ? `, ${op.dim}` : '';
  return `${op.kind}<${op.axis}${dim}>(${op.inputs[0]})`;
}

function printStage(stage: ShardedStage, options: PrintOptions): string[] {
  const head = `stage ${stage.name}: ${stage.phases.join(' + ')} on devices ${printIds(stage.devices)}`;
  const replicas = stage.kvReplicas > 1 ? `, kv_heads in ${stage.kvReplicas} copies` : '';
  return braced(`${head} mesh ${printMesh(stage.mesh)}`, [
    `microbatch ${stage.microbatchTokens} tokens, batch ${stage.batchRequests} requests${replicas}`,
    ...aligned(stage.segments.map((segment) => printSegment(segment, options))),
    '',
    ...printBlock('embed', stage.embed, options),
    ...stage.layers.flatMap(({ firstLayer, lastLayer, block }) => [
      '',
      ...printBlock(`layers ${printRun(firstLayer, lastLayer)}`, block, options),
    ]),
    '',
    ...printBlock('head', stage.head, options),
  ]);
}

function printSegment(segment: PipelineSegment, options: PrintOptions): string[] {
  const parts = [
    ...(segment.embed ? ['embed'] : []),
    `layers ${printRun(segment.firstLayer, segment.lastLayer)}`,
    ...(segment.head ? ['head'] : []),
  ];
  const send = segment.sendsTo === undefined ? '' : `-> pp ${segment.sendsTo}`;
  return [`pp ${segment.pp}`, parts.join(', '), send, printOrigin(segment.origin, options)];
}

function printBlock(name: string, block: ShardedBlock, options: PrintOptions): string[] {
  const values = new Map(block.values.map((value) => [value.id, value]));
  const produced = new Set(block.ops.map((op) => op.output));
  const given = block.values.filter((value) => !produced.has(value.id));
  const rows = [
    ...given.map((value) => [
      value.kind,
      value.id,
      printType(value.type, value.sharding),
      printTensor(value),
      printOrigin(value.origin, options),
    ]),
    ...block.ops.map((op) => {
      const value = values.get(op.output)!;
      const type = printType(value.type, value.sharding);
      if (isCollective(op)) {
        const cause = options.origin ? `// ${options.origin(op.origin)}: ${op.reason}` : `// ${op.reason}`;
        return ['inserted', op.id, type, `= ${printCollective(op)}`, cause];
      }
      return [op.part, op.id, type, `= ${op.kind}(${op.inputs.join(', ')})`];
    }),
  ];
  return braced(`${name} (${block.input}) -> ${block.output}`, aligned(rows));
}
