/**
 * Fuses `x += delta` with the norm of x that follows it at once into one kernel.
 *
 *     add x, delta                    add_rms_norm x, delta, w, y
 *     rms_norm x, w, y          =>
 */
import type { DraftOp } from '../ir/op-access.js';
import type { Operand } from '../ir/runtime-program.js';

export function fuseNorms(ops: readonly DraftOp[]): readonly DraftOp[] {
  const fused: DraftOp[] = [];
  for (let index = 0; index < ops.length; index++) {
    const pair = fusePair(ops[index]!, ops[index + 1]);
    if (pair) index++;
    fused.push(pair ?? ops[index]!);
  }
  return fused;
}

function fusePair(add: DraftOp, norm: DraftOp | undefined): DraftOp | undefined {
  if (add.op !== 'kernel' || add.kernel !== 'add') return undefined;
  if (norm?.op !== 'kernel' || norm.kernel !== 'rms_norm') return undefined;
  const [x, delta] = add.operands as [Operand, Operand];
  const [input, weight, out] = norm.operands as [Operand, Operand, Operand];
  if (!('value' in x) || !('value' in input) || x.value !== input.value) return undefined;
  return { ...norm, kernel: 'add_rms_norm', operands: [x, delta, weight, out] };
}
