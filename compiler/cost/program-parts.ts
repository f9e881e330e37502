/** The parts of a program whose costs are told apart: its layers, and the runs of kernels between two exchanges. */
import { numbered } from '../numbered.js';
import type { DraftOp } from '../ir/op-access.js';
import { countClasses, isLaunched, type CostedProgram, type OpClass } from './op-classes.js';

/** Whether an op is the first of its kernels to be handed to a device together. */
export function beginsRun(ops: readonly DraftOp[], index: number): boolean {
  const before = ops[index - 1];
  return isLaunched(ops[index]!) && (before === undefined || !isLaunched(before));
}

export interface Section {
  readonly layer: number | undefined;
  /** Of every op, in order. */
  readonly classOf: readonly OpClass[];
  /** How many of them are launched on a device, by what their rows are. */
  readonly kernels: Readonly<Record<'tokens' | 'samples', number>>;
}

/**
 * Ops that belong together: runs of one layer, and what stands before, between and after them.
 *
 * @param all the class of every op
 */
export function layerSections(program: CostedProgram, all: readonly OpClass[]): readonly Section[] {
  const sections: { layer: number | undefined; classOf: OpClass[] }[] = [];
  program.ops.forEach(({ layer }, op) => {
    const last = sections.at(-1);
    if (last !== undefined && last.layer === layer) last.classOf.push(all[op]!);
    else sections.push({ layer, classOf: [all[op]!] });
  });
  return sections.map(({ layer, classOf }) => ({
    layer,
    classOf,
    kernels: {
      tokens: classOf.filter(({ op, rows }) => isLaunched(op) && rows === 'tokens').length,
      samples: classOf.filter(({ op, rows }) => isLaunched(op) && rows === 'samples').length,
    },
  }));
}

/** A part of a step, as far as it does not depend on the step's size. */
interface RunShape {
  readonly what: 'kernels' | 'collective' | 'send' | 'recv' | 'sample';
  readonly ops: readonly OpClass[];
  /** How many layers begin in it. */
  readonly layers: number;
  readonly launched: Section['kernels'];
  readonly submits: number;
  readonly samples: boolean;
}

/** Those of a program that differ, and which of them each of its parts is. */
export interface RunShapes {
  readonly kinds: readonly RunShape[];
  readonly order: readonly number[];
}

/** Kernels between two exchanges, exchanges, and the reading of samples, in the order of the program. */
export function runShapes({ ops }: CostedProgram, sections: readonly Section[]): RunShapes {
  const kinds: RunShape[] = [];
  const numberOf = numbered<string>();
  const order: number[] = [];
  let run: { classes: OpClass[]; layers: number; submits: number } | undefined;
  const add = (what: RunShape['what'], shape: Omit<RunShape, 'what' | 'launched' | 'samples'>): void => {
    const launched = { tokens: 0, samples: 0 };
    for (const { op, rows, count } of shape.ops) if (isLaunched(op)) launched[rows] += count;
    const key = `${what} ${shape.layers} ${shape.submits} ${shape.ops.map(({ key, count }) => `${count} ${key}`).join('; ')}`;
    const number = numberOf(key);
    kinds[number] ??= { ...shape, what, launched, samples: what === 'sample' };
    order.push(number);
  };
  const endRun = (): void => {
    if (run !== undefined) add('kernels', { ...run, ops: countClasses(run.classes) });
    run = undefined;
  };
  let op = 0;
  for (const { layer, classOf } of sections)
    for (const [index, each] of classOf.entries()) {
      const begins = index === 0 && layer !== undefined ? 1 : 0;
      if (isLaunched(each.op)) {
        run ??= { classes: [], layers: 0, submits: 0 };
        run.classes.push(each);
        run.layers += begins;
        if (beginsRun(ops, op)) run.submits++;
      } else {
        endRun();
        const { op: what } = each.op;
        if (what === 'collective' || what === 'send' || what === 'recv')
          add(what, { ops: [each], layers: begins, submits: 0 });
      }
      if (each.op.op === 'sample') {
        endRun();
        add('sample', { ops: [], layers: 0, submits: 0 });
      }
      op++;
    }
  endRun();
  return { kinds, order };
}
