/** The logical graph as text: one line per weight and per op, in program order. */
import { tensorSizes } from '../model/shape.js';
import type { LogicalBlock, LogicalGraph } from './logical.js';
import { aligned, braced, printTensor, printType } from './print.js';

/** Stable text of a logical graph, ending in a line break. */
export function printLogical(graph: LogicalGraph): string {
  const { shape } = graph;
  const lines = [
    `logical ${graph.model}: ${shape.family}, weights ${graph.weights}`,
    `  ${tensorSizes(shape)
      .map(([name, size]) => `${name} ${size}`)
      .join(', ')}`,
    '',
    ...graph.blocks.flatMap((block) => [...printBlock(block), '']),
  ];
  return `${lines.slice(0, -1).join('\n')}\n`;
}

function printBlock(block: LogicalBlock): string[] {
  const values = new Map(block.values.map((value) => [value.id, value]));
  const produced = new Set(block.ops.map((op) => op.output));
  const given = block.values.filter((value) => !produced.has(value.id));
  const rows = [
    ...given.map((value) => [value.kind, value.id, printType(value.type), printTensor(value)]),
    ...block.ops.map((op) => [
      op.part,
      op.id,
      printType(values.get(op.output)!.type),
      `= ${op.kind}(${op.inputs.join(', ')})`,
    ]),
  ];
  const times = block.repeat === 1 ? '' : ` x${block.repeat}`;
  return braced(`${block.name}${times} (${block.input}) -> ${block.output}`, aligned(rows));
}
