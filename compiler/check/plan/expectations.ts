/** `expect` blocks: measures, their arguments and bounds. What they are compared with is known after compiling. */
import { isComparison } from '../../../grammar/operators.js';
import type {
  CallExpr,
  ChainExpr,
  Expectation,
  Expr,
  Name,
  PathExpr,
  WorkloadDecl,
} from '../../../grammar/syntax.js';
import { report } from '../../diagnostics/catalogue.js';
import type { Fix } from '../../diagnostics/diagnostic.js';
import type { CheckedExpectation, Comparison } from '../../plan/plan.js';
import type { Workload } from '../../plan/workload.js';
import type { CheckedTopology } from '../check-topology.js';
import { describe, pathText, plainName } from '../evaluate.js';
import { quantity, type Reader } from '../readers.js';
import { removal, replacement } from '../fixes.js';
import { at, choices, lookUp, suggestions, type Context } from '../scope.js';
import { selectMeasured } from '../select-places.js';
import type { Placed } from './merge-plan.js';

type Bound = Extract<CheckedExpectation, { kind: 'bound' }>;
type Never = Extract<CheckedExpectation, { kind: 'never' }>;
type Subject = Partial<Pick<Bound, 'stage' | 'devices' | 'edge' | 'per'>>;

/** The workload of a declaration, or undefined after reporting why there is none. */
export type WorkloadOf = (decl: WorkloadDecl, cx: Context) => Workload | undefined;

/** Stages of the plan by name, each with the ids of its devices where these are known. */
export type StagesByName = ReadonlyMap<string, readonly number[] | undefined>;

interface Names {
  readonly stages: StagesByName;
  readonly topology: CheckedTopology;
}

/** Kinds of arguments of measures. */
type Kind = 'stage' | 'devices' | 'edge';

interface Measure {
  /** How it is written, for messages. */
  readonly usage: string;
  readonly limit: Reader<number>;
  readonly per: readonly NonNullable<Bound['per']>[];
  /** It is of a run, which a workload may be named for. */
  readonly ofRun: 'always' | 'never' | 'without per';
  readonly args: readonly Kind[];
}

const bytes = quantity('bytes', { min: 0 });
const times = quantity('number', { min: 0 });
const seconds = quantity('seconds', { min: 0 });

const MEASURES: Readonly<Record<Bound['measure'], Measure>> = {
  peak: {
    usage: 'peak(decode, gpu) <= 22 GB',
    limit: bytes,
    per: [],
    ofRun: 'never',
    args: ['stage', 'devices'],
  },
  collectives: {
    usage: 'collectives(decode, per: layer) <= 2',
    limit: times,
    per: ['layer', 'step'],
    ofRun: 'never',
    args: ['stage'],
  },
  bytes: {
    usage: 'bytes(prefill -> decode, per: token) <= 320 KiB',
    limit: bytes,
    per: ['token', 'transition'],
    ofRun: 'without per',
    args: ['edge'],
  },
  transitions: { usage: 'transitions <= 4', limit: times, per: [], ofRun: 'always', args: [] },
  time: { usage: 'time <= 300 s', limit: seconds, per: [], ofRun: 'always', args: [] },
};

const OPS: readonly Never['op'][] = ['all_reduce', 'all_gather', 'reduce_scatter', 'send'];
const OPERANDS: readonly NonNullable<Never['of']>[] = ['weights', 'kv', 'activations'];

/** Checks one line; undefined after reporting. */
export function readExpectation(
  { node, cx }: Placed<Expectation>,
  stages: StagesByName,
  topology: CheckedTopology,
  workloadOf: WorkloadOf,
): CheckedExpectation | undefined {
  const names: Names = { stages, topology };
  return node.kind === 'never' ? readNever(node, cx, names) : readBound(node, cx, names, workloadOf);
}

function readNever(
  node: Extract<Expectation, { kind: 'never' }>,
  cx: Context,
  names: Names,
): Never | undefined {
  const op = word(node.op, OPS, 'op', cx);
  const of = node.of && word(node.of, OPERANDS, 'operand', cx);
  const stage = node.stage && word(node.stage, [...names.stages.keys()], 'stage', cx);
  if (!op || (node.of && !of) || (node.stage && stage === undefined)) return undefined;
  return {
    kind: 'never',
    op,
    ...(of && { of }),
    ...(stage !== undefined && { stage }),
    origin: at(cx, node),
  };
}

function word<W extends string>(name: Name, known: readonly W[], kind: string, cx: Context): W | undefined {
  const found = known.find((k) => k === name.text);
  if (found !== undefined || name.text === '') return found;
  const primary = at(cx, name);
  const near = choices(primary, name.text, known, `${kind}s`);
  cx.report(report('unknown-name', { kind, name: name.text }, { primary, ...near }));
  return undefined;
}

function readBound(
  node: Extract<Expectation, { kind: 'bound' }>,
  cx: Context,
  names: Names,
  workloadOf: WorkloadOf,
): Bound | undefined {
  const { condition } = node;
  if (condition.kind === 'error') return undefined;
  if (condition.kind !== 'binary' || !isComparison(condition.op)) {
    const name = condition.kind === 'call' ? condition.callee.text : plainName(condition)?.text;
    const meant = Object.entries(MEASURES).filter(([measure]) => measure === name);
    const shown = meant.length > 0 ? meant : Object.entries(MEASURES);
    const helps = shown.map(([, { usage }]) => `\`${usage}\``);
    cx.report(report('not-a-bound', {}, { primary: at(cx, condition), helps }));
    return undefined;
  }
  const call = readMeasure(condition.left, cx);
  if (!call) return undefined;
  const spec = MEASURES[call.measure];
  const subject = readArguments(call, spec, cx, names);
  const limit = spec.limit(condition.right, cx, `\`${call.measure}\``);
  if (!subject || limit === undefined) return undefined;
  const found = node.workload && lookUp(cx, node.workload, 'workload');
  const workload = found && workloadOf(found.decl, found.cx);
  if (node.workload && !workload) return undefined;
  if (node.workload && !isOfRun(spec, subject)) {
    reportNeedlessWorkload(call.measure, condition, node.workload, cx);
    return undefined;
  }
  return {
    kind: 'bound',
    measure: call.measure,
    ...subject,
    op: condition.op as Comparison,
    limit,
    ...(spec.limit === bytes && condition.right.kind === 'quantity' && { unit: condition.right.unit.text }),
    // An import may call it something else.
    ...(workload && { workload: { ...workload, name: node.workload!.text } }),
    origin: at(cx, node),
  };
}

function isOfRun({ ofRun }: Measure, { per }: Subject): boolean {
  return ofRun === 'always' || (ofRun === 'without per' && per === undefined);
}

function reportNeedlessWorkload(measure: string, condition: Expr, workload: Name, cx: Context): void {
  const problem = 'it is the same for every workload';
  cx.report(
    report(
      'bad-measure-argument',
      { measure, problem },
      {
        primary: at(cx, workload),
        fixes: [removal(cx, { start: condition.span.end, end: workload.span.end }, 'the workload')],
      },
    ),
  );
}

interface MeasureUse {
  readonly measure: Bound['measure'];
  readonly expr: Expr;
  readonly args: CallExpr['args'];
}

function readMeasure(expr: Expr, cx: Context): MeasureUse | undefined {
  if (expr.kind === 'error') return undefined;
  const name = expr.kind === 'call' ? expr.callee : plainName(expr);
  const known = Object.keys(MEASURES);
  if (name && Object.hasOwn(MEASURES, name.text))
    return {
      measure: name.text as Bound['measure'],
      expr,
      args: expr.kind === 'call' ? expr.args : [],
    };
  const primary = at(cx, name ?? expr);
  const measure = name?.text ?? describe(expr);
  cx.report(
    report('unknown-measure', { measure }, { primary, ...suggestions(primary, measure, known, 'measures') }),
  );
  return undefined;
}

function readArguments(use: MeasureUse, spec: Measure, cx: Context, names: Names): Subject | undefined {
  const { measure } = use;
  const bad = (
    problem: string,
    node: { readonly span: Expr['span'] },
    fixes: readonly Fix[] = [],
  ): undefined => {
    const helps = [`for example \`${spec.usage}\``];
    cx.report(report('bad-measure-argument', { measure, problem }, { primary: at(cx, node), helps, fixes }));
    return undefined;
  };
  let subject: Subject = {};
  const plain = use.args.filter((a) => !a.name);
  for (const arg of use.args) {
    if (!arg.name) continue;
    if (arg.name.text !== 'per' || spec.per.length === 0)
      return bad(`it has no argument \`${arg.name.text}\``, arg.name);
    if (subject.per !== undefined) return bad('`per` is given twice', arg.name);
    const name = plainName(arg.value);
    const per = spec.per.find((p) => p === name?.text);
    if (!per) {
      const primary = at(cx, arg.value);
      return bad(
        `\`per\` is ${spec.per.map((p) => `\`${p}\``).join(' or ')}`,
        arg.value,
        spec.per.map((word) => replacement(primary, word)),
      );
    }
    subject = { ...subject, per };
  }
  if (plain.length !== spec.args.length)
    return bad(
      `it takes ${spec.args.length === 0 ? 'no arguments' : spec.args.map((kind) => KIND_WORDS[kind]).join(' and ')}`,
      use.expr,
    );
  for (const [i, kind] of spec.args.entries()) {
    const expr = plain[i]!.value;
    const read = READERS[kind](expr, cx, names);
    if (read === 'other') return bad(`it takes ${KIND_WORDS[kind]}`, expr);
    if (!read) return undefined;
    subject = { ...subject, ...read };
    const apart = kind === 'devices' && isApart(subject, names);
    if (apart) return bad(`\`${subject.stage}\` is on none of \`${subject.devices!.text}\``, expr);
  }
  return subject;
}

type ArgumentReader = (expr: Expr, cx: Context, names: Names) => Subject | 'other' | undefined;

const KIND_WORDS: Readonly<Record<Kind, string>> = {
  stage: 'a stage',
  devices: 'devices such as `gpu` or `gpu[0..3]`',
  edge: 'an edge `a -> b`',
};

const READERS: Readonly<Record<Kind, ArgumentReader>> = {
  stage: readStageName,
  devices: readDevices,
  edge: readEdge,
};

function readStageName(expr: Expr, cx: Context, { stages }: Names): Subject | 'other' | undefined {
  const name = plainName(expr);
  if (!name) return 'other';
  const stage = word(name, [...stages.keys()], 'stage', cx);
  return stage === undefined ? undefined : { stage };
}

function readDevices(expr: Expr, cx: Context, { topology }: Names): Subject | 'other' | undefined {
  if (expr.kind !== 'path') return 'other';
  const ids = selectMeasured(expr, topology, cx);
  return ids && { devices: { text: pathText(expr, cx.scope.file.text), ids } };
}

/** Whether the stage stands on none of the devices. */
function isApart({ stage, devices }: Subject, { stages }: Names): boolean {
  const own = stage === undefined ? undefined : stages.get(stage);
  return own !== undefined && devices?.ids.some((id) => own.includes(id)) === false;
}

function readEdge(expr: Expr, cx: Context, names: Names): Subject | 'other' | undefined {
  if (expr.kind !== 'chain' || (expr as ChainExpr).links.length !== 2) return 'other';
  const ends = expr.links.map((l) => stageOf(l.target, cx, names));
  const [from, to] = ends;
  return from === undefined || to === undefined ? undefined : { edge: { from, to } };
}

function stageOf(target: PathExpr, cx: Context, names: Names): string | undefined {
  const name = plainName(target) ?? target.segments[0]!.name;
  return word(name, [...names.stages.keys()], 'stage', cx);
}
