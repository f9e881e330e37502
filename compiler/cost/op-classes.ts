/** Ops of a program that cost the same, so that each kind is costed once however many layers there are. */
import type { DraftOp } from '../ir/op-access.js';
import { activationStride } from '../ir/device-layout.js';
import type { ProgramValue } from '../ir/runtime-program.js';

/** What of a program its costs depend on, whether it has been lowered to the end or not. */
export interface CostedProgram {
  readonly values: readonly Pick<ProgramValue, 'id' | 'rows' | 'cols'>[];
  readonly ops: readonly DraftOp[];
}

/** One of the ops that cost the same, and how many there are. */
export interface OpClass {
  /** The same for ops that cost the same, whatever program they are of. */
  readonly key: string;
  readonly op: DraftOp;
  /** Of what an exchange or a send gives and takes, with the columns that pad a row. */
  readonly cols: { readonly given: number; readonly taken: number };
  /** What it has a row for each of. */
  readonly rows: 'tokens' | 'samples';
  readonly count: number;
}

/** Whether an op is a kernel to its device. */
export function isLaunched({ op }: DraftOp): boolean {
  return op === 'kernel' || op === 'sample';
}

/** The kinds of some of a program's ops. */
export function classify(program: CostedProgram, ops: readonly DraftOp[]): readonly OpClass[] {
  return countClasses(classesOf(program, ops));
}

/** Each kind once, with how often it is among these. */
export function countClasses(classes: readonly OpClass[]): readonly OpClass[] {
  const counts = new Map<OpClass, number>();
  for (const each of classes) counts.set(each, (counts.get(each) ?? 0) + 1);
  return [...counts].map(([each, count]) => ({ ...each, count }));
}

/** For every op the first of those that cost the same. */
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

/** What an op carries from rank to rank: whole rows as they lie in memory. */
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
