/**
 * What holds of a block at the logical and the sharded level alike: single assignment, every operand defined before
 * it is read, operands of the kinds and types that the op table asks for.
 */
import type { LogicalOp, LogicalValue } from './logical.js';
import { OPS, sameDims } from './op-table.js';

/** A block seen without shardings. `copies` are the ops that change nothing but where a value lies. */
export interface PlainBlock {
  readonly name: string;
  readonly input: string;
  readonly output: string;
  readonly values: readonly LogicalValue[];
  readonly steps: readonly (
    | { readonly kind: 'op'; readonly op: LogicalOp }
    | { readonly kind: 'copy'; readonly id: string; readonly input: string; readonly output: string }
  )[];
}

/** Problems of a block, each a sentence that names the block and the value or op; empty when it is well formed. */
export function verifyBlock(block: PlainBlock): readonly string[] {
  const problems: string[] = [];
  const complain = (what: string): void => void problems.push(`${block.name}: ${what}`);
  const values = new Map(block.values.map((value) => [value.id, value]));
  if (values.size !== block.values.length) complain('two values have the same id');
  const outputs = block.steps.map((step) => (step.kind === 'op' ? step.op.output : step.output));
  if (new Set(outputs).size !== outputs.length) complain('a value is assigned twice');

  for (const value of block.values) {
    const produced = outputs.includes(value.id);
    if (value.kind === 'activation' && !produced)
      complain(`${value.id} is an activation that no op produces`);
    if ((value.kind === 'weight' || value.kind === 'input') && produced)
      complain(`${value.id} is a ${value.kind} that an op assigns`);
    if ((value.kind === 'weight') !== (value.tensor !== undefined))
      complain(`${value.id} must have a tensor exactly when it is a weight`);
    const perLayer = value.tensor?.includes('{layer}') ?? false;
    if (value.kind === 'weight' && perLayer !== block.name.startsWith('layer'))
      complain(`tensor ${value.tensor} of ${value.id} does not suit the block`);
  }
  if (values.get(block.input)?.kind !== 'input') complain(`${block.input} is no input`);

  const defined = new Set(
    block.values.filter((value) => !outputs.includes(value.id)).map((value) => value.id),
  );
  for (const step of block.steps) {
    const [id, inputs, output] =
      step.kind === 'op'
        ? [step.op.id, step.op.inputs, step.op.output]
        : [step.id, [step.input], step.output];
    if (id !== output) complain(`op ${id} is not named for its output ${output}`);
    const undefinedInputs = inputs.filter((input) => !defined.has(input));
    undefinedInputs.forEach((input) => complain(`${id} reads ${input} before it is defined`));
    defined.add(output);
    const missing = [...inputs, output].filter((value) => !values.has(value));
    missing.forEach((value) => complain(`${id} names ${value}, which has no type`));
    if (missing.length > 0) continue;
    const operands = inputs.map((input) => values.get(input)!);
    const result = values.get(output)!;
    if (step.kind === 'op') verifyOp(step.op, operands, result, complain);
    else if (!sameType(operands[0]!, result)) complain(`${id} changes the type of ${inputs[0]}`);
  }
  if (!defined.has(block.output)) complain(`the output ${block.output} is not defined`);
  return problems;
}

function verifyOp(
  op: LogicalOp,
  operands: readonly LogicalValue[],
  output: LogicalValue,
  complain: (what: string) => void,
): void {
  const rule = OPS[op.kind];
  const least = rule.operands.filter((operand) => !operand.optional).length;
  if (operands.length < least || operands.length > rule.operands.length) {
    complain(`${op.id} has ${operands.length} operands`);
    return;
  }
  operands.forEach((operand, index) => {
    const expected = rule.operands[index]!;
    if (!expected.kinds.includes(operand.kind))
      complain(`${op.id}: operand ${expected.name} is the ${operand.kind} ${operand.id}`);
  });
  if (output.kind !== rule.outputKind) complain(`${op.id} gives a ${rule.outputKind}, not a ${output.kind}`);
  const type = rule.type(operands.map((operand) => operand.type));
  if (typeof type === 'string') complain(`${op.id}: ${type}`);
  else if (!sameDims(type, output.type) || type.dtype !== output.type.dtype)
    complain(`${op.id}: its output does not have the type of its operands`);
}

function sameType(a: LogicalValue, b: LogicalValue): boolean {
  return sameDims(a.type, b.type) && a.type.dtype === b.type.dtype;
}
