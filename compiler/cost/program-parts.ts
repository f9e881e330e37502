/** The parts of a program whose costs are told apart: its layers, and the runs of kernels between two exchanges. */
import { numbered } from '../numbered.js';
import type { DraftOp } from '../ir/op-access.js';
import { countClasses, isLaunched, type CostedProgram, type OpClass } from './op-classes.js';

/** Whether an op begins a run: the kernels between two exchanges, which the host submits to a device together. */
export function beginsRun(ops: readonly DraftOp[], index: number): boolean {
  const before = ops[index - 1];
  return isLaunched(ops[index]!) && (before === undefined || !isLaunched(before));
}

function beginsLayer(ops: readonly DraftOp[], index: number): boolean {
  const { layer } = ops[index]!;
  return layer !== undefined && layer !== ops[index - 1]?.layer;
}

/** How many ops are launched as kernels, by whether they have a row per token or per sample. */
export type Launched = Readonly<Record<'tokens' | 'samples', number>>;

function launchedOf(classes: readonly OpClass[]): Launched {
  const launched = { tokens: 0, samples: 0 };
  for (const { op, rows, count } of classes) if (isLaunched(op)) launched[rows] += count;
  return launched;
}

/** Counts of what the engine has a time of its own for, in one step. */
interface Launches {
  readonly layers: number;
  readonly kernels: Launched;
  /** Runs of kernels between two exchanges. */
  readonly runs: number;
}

/** @param classes those of all its ops */
export function launchesOf({ ops }: CostedProgram, classes: readonly OpClass[]): Launches {
  return {
    layers: ops.filter((_op, i) => beginsLayer(ops, i)).length,
    kernels: launchedOf(classes),
    runs: ops.filter((_op, i) => beginsRun(ops, i)).length,
  };
}

/** Consecutive ops of one layer, or of none. */
export interface Section {
  /** Undefined before, between and behind layers. */
  readonly layer: number | undefined;
  /** The class of every op, in program order. */
  readonly classOf: readonly OpClass[];
}

/**
 * Splits a program into sections: the ops of each layer, and what stands before, between and behind layers.
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
  return sections;
}

/** What a part of a step is: kernels between two exchanges, an exchange, or the reading of samples. */
export type PartKind = 'kernels' | 'collective' | 'send' | 'recv' | 'sample';

/** A part of a step, without what depends on the step's size. */
interface RunShape {
  readonly what: PartKind;
  /** Classes of its ops, each once with its count. */
  readonly ops: readonly OpClass[];
  /** How many layers begin in it: each costs the engine's time per layer. */
  readonly layers: number;
  /** How many kernels it launches, by what they have a row per. */
  readonly launched: Launched;
  /** How many times the host submits kernels for it. */
  readonly submits: number;
  /** Whether it is the part in which the host reads samples. */
  readonly samples: boolean;
}

/** The parts of a program: `kinds` has each that differs once, and `order` the index in `kinds` of every part. */
export interface RunShapes {
  readonly kinds: readonly RunShape[];
  readonly order: readonly number[];
}

/**
 * Splits a program into runs of kernels between two exchanges, exchanges, and the reading of samples, in program order.
 */
export function runShapes({ ops }: CostedProgram, sections: readonly Section[]): RunShapes {
  const kinds: RunShape[] = [];
  const numberOf = numbered<string>();
  const order: number[] = [];
  let run: { classes: OpClass[]; layers: number; submits: number } | undefined;
  const add = (what: PartKind, shape: Omit<RunShape, 'what' | 'launched' | 'samples'>): void => {
    const key = `${what} ${shape.layers} ${shape.submits} ${shape.ops.map(({ key, count }) => `${count} ${key}`).join('; ')}`;
    const number = numberOf(key);
    kinds[number] ??= { ...shape, what, launched: launchedOf(shape.ops), samples: what === 'sample' };
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
