/** Verifies a logical graph: well-formed blocks, in order, that fit together and have the sizes of the shape. */
import type { DimName, LogicalGraph, LogicalValue } from './logical.js';
import { sameDims } from './op-table.js';
import { verifyBlock } from './verify-block.js';

const BLOCKS = ['embed', 'layer', 'head'] as const;

/** Problems of a logical graph; empty when it is sound. A problem is a bug of the compiler, not of a plan. */
export function verifyLogical(graph: LogicalGraph): readonly string[] {
  const { shape } = graph;
  const problems: string[] = [];
  if (graph.blocks.map((block) => block.name).join() !== BLOCKS.join())
    return [`blocks are ${graph.blocks.map((block) => block.name).join(', ')}`];
  for (const block of graph.blocks) {
    const steps = block.ops.map((op) => ({ kind: 'op', op }) as const);
    problems.push(...verifyBlock({ ...block, steps }));
    const repeat = block.name === 'layer' ? shape.layers : 1;
    if (block.repeat !== repeat) problems.push(`${block.name} runs ${block.repeat} times, not ${repeat}`);
    problems.push(...wrongSizes(block.name, block.values, sizesOf(graph)));
  }
  const [embed, layer, head] = graph.blocks;
  const value = (block: typeof embed, id: string): LogicalValue | undefined =>
    block!.values.find((candidate) => candidate.id === id);
  const joins = [
    ['embed', value(embed, embed!.output), 'layer', value(layer, layer!.input)],
    ['layer', value(layer, layer!.output), 'layer', value(layer, layer!.input)],
    ['layer', value(layer, layer!.output), 'head', value(head, head!.input)],
  ] as const;
  for (const [from, output, to, input] of joins) {
    if (output && input && !sameDims(output.type, input.type))
      problems.push(`the output of ${from} is no input for ${to}`);
  }
  return problems;
}

function sizesOf({ shape }: LogicalGraph): Readonly<Partial<Record<DimName, number>>> {
  return {
    hidden: shape.hidden,
    heads: shape.heads,
    kv_heads: shape.kvHeads,
    head_dim: shape.headDim,
    ffn: shape.ffn,
    vocab: shape.vocab,
  };
}

function wrongSizes(
  block: string,
  values: readonly LogicalValue[],
  sizes: Readonly<Partial<Record<DimName, number>>>,
): string[] {
  return values.flatMap((value) =>
    value.type.dims
      .filter((dim) => dim.size !== sizes[dim.name])
      .map((dim) => `${block}: ${dim.name} of ${value.id} is ${dim.size}, not ${sizes[dim.name]}`),
  );
}
