/**
 * What a step costs on one pipeline stage, by category: the ops of its program on the devices of one tp group.
 *
 * A kernel takes the larger of its compute time and its memory time (roofline), or more where its device says that it
 * reaches less; the ranks of a group go in lockstep, so its slowest device decides. The host hands each run of kernels
 * between two exchanges to all ranks, and reads the samples back at the end. Ops that do not differ are costed once and
 * multiplied, so the time to cost a step does not grow with the layers.
 */
import type { Mutable } from '../mutable.js';
import { once, onceForBoth } from '../once.js';
import type { EngineModel } from './engine-model.js';
import { sentElementBytes, type GroupHardware } from './group-hardware.js';
import { workKind, type StepSize, type WorkKind } from './kernel-work.js';
import { figureOf } from './by-size.js';
import { classesOf, countClasses, isLaunched, type CostedProgram, type OpClass } from './op-classes.js';
import {
  beginsRun,
  launchesOf,
  layerSections,
  runShapes,
  type Launched,
  type PartKind,
  type RunShapes,
} from './program-parts.js';
import { opTimer } from './op-timer.js';
import { deviceRates } from './rates.js';

/** Categories of a step's time. `launch`: the engine's own time per layer and kernel. */
export type CostKind = WorkKind | 'all_reduce' | 'all_gather' | 'send' | 'launch';

/** All categories. */
export const COST_KINDS: readonly CostKind[] = [
  'gemm',
  'attention',
  'elementwise',
  'all_reduce',
  'all_gather',
  'send',
  'launch',
];

/** Seconds by category. */
export type StepSeconds = Readonly<Record<CostKind, number>>;

/** The cost of a program on a tp group, as functions of the size of a step. */
export interface ProgramCost {
  /** Programs with equal signatures take equal time for a step on the same hardware; single layers may differ. */
  readonly signature: string;
  /** Device seconds of one step by category. */
  readonly step: (size: StepSize) => StepSeconds;
  /** Host seconds of a step outside `step`, for submitting kernels and reading samples. */
  readonly submits: (size: StepSize) => number;
  /** The part of `submits` that chooses tokens; it comes last. */
  readonly choosing: (size: StepSize) => number;
  /** The part during which the host serves no other tp group: it records kernels for all ranks and chooses tokens. */
  readonly hosting: (size: StepSize) => number;
  /** All seconds of one step: `step` and `submits`. */
  readonly seconds: (size: StepSize) => number;
  /** The step part by part, in program order: kernels between two exchanges are one part. */
  readonly runs: (size: StepSize) => readonly StepPart[];
  /**
   * As `runs`, with the op that each part begins with. A kernel in `cuts` (indices of ops) begins a part of its own.
   */
  readonly outline: (size: StepSize, cuts?: ReadonlySet<number>) => readonly PartAt[];
  /**
   * Bytes of one step on each rank: those it gives to exchanges of its group and takes from them, and those it hands to
   * the next pipeline stage.
   */
  readonly traffic: (size: StepSize) => ProgramTraffic;
}

/** Bytes of one rank in a step: for exchanges those it gives plus those it takes, for `send` those it sends. */
export interface ProgramTraffic {
  readonly allReduce: number;
  readonly allGather: number;
  readonly send: number;
}

/** A part of a step. */
export interface StepPart {
  readonly what: PartKind;
  readonly seconds: number;
  /** Host seconds outside `seconds`: submitting the kernels, or reading samples and choosing tokens. */
  readonly submit: number;
}

/** A part of a step with its place in the program. */
export interface PartAt extends StepPart {
  /** Index of its op in the program; of several kernels that of the first. */
  readonly op: number;
}

/** Seconds of the engine in a step of a group. */
interface GroupOverhead {
  /** For each layer. */
  readonly layer: number;
  /** For each kernel that is launched. */
  readonly kernel: number;
  /** For each run of kernels that the host submits. */
  readonly submit: number;
  /** For reading the samples of a step, once. */
  readonly read: number;
  /** For each row that a token is chosen for. */
  readonly choose: number;
  /** For recording each kernel, for all ranks together. */
  readonly encode: number;
}

/** The overhead of a tp group that runs a program; all zero without `hostOverhead`. */
export function groupOverhead(
  { ops }: Pick<CostedProgram, 'ops'>,
  { ranks, overhead }: Pick<GroupHardware, 'ranks' | 'overhead'>,
  { hostOverhead }: EngineModel,
): GroupOverhead {
  if (!hostOverhead) return { layer: 0, kernel: 0, submit: 0, read: 0, choose: 0, encode: 0 };
  const { layer, kernel, submit = {}, read = {}, choose = 0, encode = 0 } = overhead;
  const sample = ops.find(({ op }) => op === 'sample');
  const reporting = sample?.op === 'sample' && sample.split === 'tp' ? ranks : 1;
  return {
    layer,
    kernel,
    submit: figureOf(submit, ranks) ?? 0,
    read: sample === undefined ? 0 : (figureOf(read, reporting) ?? 0),
    choose: sample === undefined ? 0 : choose,
    encode: encode * ranks,
  };
}

/** A tally of seconds by category, all zero. */
export function noSeconds(): Record<CostKind, number> {
  return { gemm: 0, attention: 0, elementwise: 0, all_reduce: 0, all_gather: 0, send: 0, launch: 0 };
}

/** The cost of a program on a tp group under an engine. */
export function programCost(
  program: CostedProgram,
  hardware: GroupHardware,
  engine: EngineModel,
): ProgramCost {
  const rates = hardware.kinds.map((kind) => deviceRates(kind, engine.smallGemmLoss));
  const classOf = classesOf(program, program.ops);
  const classes = countClasses(classOf);
  const sections = layerSections(program, classOf);
  const overhead = groupOverhead(program, hardware, engine);
  const { layer: perLayer, kernel: perKernel, submit } = overhead;
  /** Seconds of reading samples and choosing tokens. */
  const sampling = (samples: number): number => (samples > 0 ? overhead.read + samples * overhead.choose : 0);
  /** Kernels that a step launches: those without rows are not. */
  const launched = ({ tokens, samples: sampling }: Launched, samples: number): number =>
    tokens + (samples > 0 ? sampling : 0);
  const ofAll = launchesOf(program, classes);
  const launches = (samples: number): number =>
    ofAll.layers * perLayer + launched(ofAll.kernels, samples) * perKernel;
  const submits = ofAll.runs * submit;
  const timerOf = once((each: OpClass) => opTimer(each, rates, hardware));
  const timed = (ops: readonly OpClass[]): readonly TimedOps[] =>
    ops.map((each) => ({ kind: costKind(each), count: each.count, timer: timerOf(each) }));
  const [attends, rest] = split(classes, isAttention);
  const [attending, others] = [timed(attends), timed(rest)];
  const byRows = onceForBoth((tokens, samples) => ({
    ...seconds(others, withoutContexts(tokens, samples)),
    launch: launches(samples),
  }));
  const allByRows = onceForBoth((tokens, samples) =>
    Object.values(byRows(tokens, samples)).reduce((sum, each) => sum + each, submits + sampling(samples)),
  );
  let known: ShapesApart | undefined;
  const shapes = (): ShapesApart => (known ??= attendingApart(runShapes(program, sections), timed));
  /** Parts without attention, one of each kind. */
  const partsByRows = onceForBoth((tokens, samples) =>
    shapes().kinds.map(
      ({ what, others, layers, launched: own, submits: count, samples: reads }): StepPart => {
        const kernels = launched(own, samples);
        return {
          what,
          seconds: total(others, withoutContexts(tokens, samples)) + layers * perLayer + kernels * perKernel,
          submit: count * submit + (reads ? sampling(samples) : 0),
        };
      },
    ),
  );
  const rowBytes = [
    bytesOfRows(classes, 'all_reduce', hardware),
    bytesOfRows(classes, 'all_gather', hardware),
    bytesOfRows(classes, 'send', hardware),
  ] as const;
  return {
    signature: `${launches(0)} ${launches(1)} ${submits} ${sampling(1)} ${sampling(2)} ${classes.map(({ key, count }) => `${count} ${key}`).join('; ')}`,
    step(size) {
      const { gemm, elementwise, all_reduce, all_gather, send, launch } = byRows(size.tokens, size.samples);
      const { attention } = seconds(attending, size);
      return { gemm, attention, elementwise, all_reduce, all_gather, send, launch };
    },
    submits: ({ samples }) => submits + sampling(samples),
    choosing: ({ samples }) => samples * overhead.choose,
    hosting: ({ samples }) => launched(ofAll.kernels, samples) * overhead.encode + samples * overhead.choose,
    seconds: (size) => allByRows(size.tokens, size.samples) + total(attending, size),
    runs(size) {
      const { kinds, order } = shapes();
      const parts = partsByRows(size.tokens, size.samples).map((part, kind) => {
        const { attending } = kinds[kind]!;
        return attending.length === 0 ? part : { ...part, seconds: part.seconds + total(attending, size) };
      });
      return order.map((kind) => parts[kind]!);
    },
    outline(size, cuts) {
      const parts: Mutable<PartAt>[] = [];
      const times = new Map<OpClass, number>();
      let run: Mutable<PartAt> | undefined;
      let op = 0;
      for (const { layer, classOf } of sections) {
        let begins = layer === undefined ? 0 : perLayer;
        for (const each of classOf) {
          const pure = times.get(each) ?? timerOf(each)(size);
          times.set(each, pure);
          const isKernels = isLaunched(each.op);
          const seconds = pure + begins + (isKernels && size[each.rows] > 0 ? perKernel : 0);
          const own = beginsRun(program.ops, op) ? submit : 0;
          const { op: name } = each.op;
          if (run === undefined || !isKernels || cuts?.has(op)) {
            const what = name === 'kernel' || name === 'sample' ? 'kernels' : name;
            parts.push((run = { what, op, seconds, submit: own }));
          } else {
            run.seconds += seconds;
            run.submit += own;
          }
          if (!isKernels || name === 'sample') run = undefined;
          if (name === 'sample')
            parts.push({ what: 'sample', op, seconds: 0, submit: sampling(size.samples) });
          begins = 0;
          op++;
        }
      }
      return parts;
    },
    traffic: ({ tokens, samples }) => {
      const bytes = (each: RowBytes): number => tokens * each.tokens + samples * each.samples;
      return { allReduce: bytes(rowBytes[0]), allGather: bytes(rowBytes[1]), send: bytes(rowBytes[2]) };
    },
  };
}

/** Bytes that a rank exchanges for each row of a step. */
type RowBytes = Readonly<Record<'tokens' | 'samples', number>>;

function bytesOfRows(
  classes: readonly OpClass[],
  name: 'all_reduce' | 'all_gather' | 'send',
  hardware: GroupHardware,
): RowBytes {
  const element = sentElementBytes(hardware);
  const bytes = { tokens: 0, samples: 0 };
  for (const { op, cols, rows, count } of classes) {
    if ((op.op === 'collective' ? op.kind : op.op) !== name) continue;
    bytes[rows] += (cols.given + cols.taken) * element * count;
  }
  return bytes;
}

/** A step as all but attention sees it: by its row counts alone, of which a workload has few. */
function withoutContexts(tokens: number, samples: number): StepSize {
  return { tokens, samples, pairs: 0, keys: 0 };
}

function isAttention({ op }: OpClass): boolean {
  return op.op === 'kernel' && op.kernel === 'attention';
}

/** A class of ops: how many there are, and the seconds of each in a step. */
interface TimedOps {
  readonly kind: CostKind;
  readonly count: number;
  readonly timer: (size: StepSize) => number;
}

function seconds(ops: readonly TimedOps[], size: StepSize): Record<CostKind, number> {
  const sum = noSeconds();
  for (const { kind, count, timer } of ops) sum[kind] += timer(size) * count;
  return sum;
}

function total(ops: readonly TimedOps[], size: StepSize): number {
  let sum = 0;
  for (const { count, timer } of ops) sum += timer(size) * count;
  return sum;
}

/** Parts of a program, with the ops among them that are attention and those that are not. */
interface ShapesApart extends Pick<RunShapes, 'order'> {
  readonly kinds: readonly (Omit<RunShapes['kinds'][number], 'ops'> & {
    readonly attending: readonly TimedOps[];
    readonly others: readonly TimedOps[];
  })[];
}

function attendingApart(
  { kinds, order }: RunShapes,
  timed: (ops: readonly OpClass[]) => readonly TimedOps[],
): ShapesApart {
  return {
    order,
    kinds: kinds.map(({ ops, ...kind }) => {
      const [attending, others] = split(ops, isAttention);
      return { ...kind, attending: timed(attending), others: timed(others) };
    }),
  };
}

function split<T>(
  items: readonly T[],
  goesFirst: (item: T) => boolean,
): readonly [readonly T[], readonly T[]] {
  return [items.filter(goesFirst), items.filter((item) => !goesFirst(item))];
}

function costKind({ op }: OpClass): CostKind {
  switch (op.op) {
    case 'kernel':
      return workKind(op.kernel);
    case 'collective':
      return op.kind;
    case 'send':
    case 'recv':
      return 'send';
    case 'sample':
      return 'elementwise';
  }
}
