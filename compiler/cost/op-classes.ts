/** Classes of ops that cost the same, so that each class is costed once however many layers there are. */
import type { DraftOp } from '../ir/op-access.js';
import { activationStride } from '../ir/device-layout.js';
import type { ProgramValue } from '../ir/runtime-program.js';

/** The part of a program that its costs depend on. Programs that are not lowered to the end have it as well. */
export interface CostedProgram {
  readonly values: readonly Pick<ProgramValue, 'id' | 'rows' | 'cols'>[];
  readonly ops: readonly DraftOp[];
}

/** A class of ops that cost the same: one of them, and how many there are. */
export interface OpClass {
  /** Equal for ops that cost the same, also of different programs. */
  readonly key: string;
  /** One of the ops of the class. */
  readonly op: DraftOp;
  /**
   * Columns of a row that a rank gives to an exchange or send and takes from it, padding included; 0 where nothing is.
   */
  readonly cols: { readonly given: number; readonly taken: number };
  /** Whether the op has one row per token of the step or per sampled row. */
  readonly rows: 'tokens' | 'samples';
  /** How many ops are of the class. */
  readonly count: number;
}

/** Whether an op is launched as a kernel on its device: kernels and sampling are, exchanges are not. */
export function isLaunched({ op }: DraftOp): boolean {
  return op === 'kernel' || op === 'sample';
}

/** The classes of some of a program's ops, each once with its count. */
export function classify(program: CostedProgram, ops: readonly DraftOp[]): readonly OpClass[] {
  return countClasses(classesOf(program, ops));
}

/** Each class once, with how often it is in the list. */
export function countClasses(classes: readonly OpClass[]): readonly OpClass[] {
  const counts = new Map<OpClass, number>();
  for (const each of classes) counts.set(each, (counts.get(each) ?? 0) + 1);
  return [...counts].map(([each, count]) => ({ ...each, count }));
}

/** The class of every op, in their order. Ops that cost the same share one object, whose `count` is 1. */
export function classesOf(program: CostedProgram, ops: readonly DraftOp[]): readonly OpClass[] {
  const values = new Map(program.values.map((value) => [value.id, value]));
  const classes = new Map<string, OpClass>();
  return ops.map((op) => {
    const { cols, rows } = carried(values, op);
    const key = costKey(op, cols, rows);
    const known = classes.get(key) ?? { key, op, cols, rows, count: 1 };
    classes.set(key, known);
    return known;
  });
}

/** All that an op's costs depend on, the device and the step aside. */
function costKey(op: DraftOp, { given, taken }: OpClass['cols'], rows: OpClass['rows']): string {
  switch (op.op) {
    case 'kernel':
      return `${op.kernel} ${rows} ${op.dtype} ${costParams(op.params)}`;
    case 'sample':
      return `sample ${rows} ${op.vocabPerRank}`;
    case 'collective':
      return `${op.kind} ${given} ${taken} ${rows}`;
    case 'send':
    case 'recv':
      return `${op.op} ${given} ${taken} ${rows}`;
  }
}

const NOTHING = { given: 0, taken: 0 };

/** Columns that an op carries from rank to rank, whole rows as they lie in memory, and what it has a row per. */
function carried(
  values: ReadonlyMap<number, CostedProgram['values'][number]>,
  op: DraftOp,
): Pick<OpClass, 'cols' | 'rows'> {
  if (op.op === 'kernel') return { cols: NOTHING, rows: op.rows };
  if (op.op === 'sample') return { cols: NOTHING, rows: 'samples' };
  const { rows, cols } = values.get(op.value)!;
  const own = activationStride(cols);
  if (op.op === 'recv') return { cols: { given: 0, taken: own }, rows };
  if (op.op === 'send') return { cols: { given: own, taken: 0 }, rows };
  const taken = op.kind === 'all_reduce' ? own : activationStride(values.get(op.out)!.cols);
  return { cols: { given: own, taken }, rows };
}

/** Parameters that tell costs apart; the layer's place in its group is not one. */
function costParams(params: Readonly<Record<string, number>>): string {
  return Object.entries(params)
    .filter(([name]) => name !== 'layer' && name !== 'groupLayers')
    .map(([name, value]) => `${name}=${value}`)
    .join();
}
