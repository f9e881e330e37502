/** `simulate --against`: a simulation beside the trace of a run, category by category. */
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import type { Plan } from '../compiler/plan/plan.js';
import type { SimulatedRequest } from '../runtime/clock/simulation.js';
import { foreignSteps } from '../runtime/expectations/observed.js';
import { RuntimeFailure } from '../runtime/failure.js';
import { compareCategories, wholeSeconds, type Comparison } from '../runtime/trace/categories.js';
import type { TimedName } from '../runtime/trace/categories.js';
import { readTraceFile } from '../runtime/trace/read-trace.js';
import type { ReadTrace } from '../runtime/trace/slices.js';
import type { TransitionMode } from '../runtime/scheduler/types.js';
import { formatCount, formatDuration, formatSignedPercent, formatTable, indent, plural } from './format.js';
import { settingsOf, type CheckedAsRun, type RunSettings } from './run-settings.js';

/** A run as its trace tells it. */
export interface TracedRun extends RunSettings {
  readonly path: string;
  readonly trace: ReadTrace;
  /** Plan that was run, and its model, where the trace says so. */
  readonly plan?: string;
  readonly model?: string;
  /** Lengths of the requests that were finished, in the order of their numbers, which is that of the workload. */
  readonly requests: readonly SimulatedRequest[];
  /** Seconds from the first arrival of a request to the last; absent where they came together. */
  readonly arrivedOver?: number;
}

/**
 * Reads the trace of a run. Throws RuntimeFailure FC0923 where it is damaged, tells of no requests, or not of a whole
 * run.
 */
export function readRun(path: string): TracedRun {
  const read = readTraceFile(path);
  if (read.kind === 'problem') throw unusable(path, read.why);
  const { trace } = read;
  if (trace.figures === undefined) throw cutShort(path, trace);
  const requests = finishedRequests(path, trace);
  if (requests.length === 0) throw unusable(path, `${path} tells of no request that was finished`);
  const { plan, model } = trace.about;
  const arrivedOver = spreadOfArrivals(trace);
  return {
    path,
    trace,
    requests,
    ...(arrivedOver !== undefined && { arrivedOver }),
    ...(typeof plan === 'string' && { plan }),
    ...(typeof model === 'string' && { model }),
    ...settingsOf(trace.about),
  };
}

function unusable(path: string, why: string): RuntimeFailure {
  return new RuntimeFailure('FC0923', why, { subject: path });
}

/** What was done of the requests that were not finished takes time, and nothing says how much of them it was. */
function cutShort(path: string, { slices }: ReadTrace): RuntimeFailure {
  const count = (name: string): number => requestSlices(slices).filter((slice) => slice.name === name).length;
  const arrived = plural(count('arrive'), 'request');
  const message = `${path} is of a run that was cut short: ${count('finish')} of ${arrived} finished`;
  const help =
    'only a run that came to its end can be compared with a simulation: run it again with `--trace`';
  return new RuntimeFailure('FC0923', message, { subject: path, help });
}

/** Arrivals over less of a run than this may as well have come together: what is encoded in blocks takes a while. */
const TOGETHER = 0.05;

function spreadOfArrivals({ slices }: ReadTrace): number | undefined {
  let [first, last] = [Infinity, -Infinity];
  for (const { name, start } of requestSlices(slices)) {
    if (name !== 'arrive') continue;
    first = Math.min(first, start);
    last = Math.max(last, start);
  }
  const whole = wholeSeconds(slices) ?? 0;
  return last - first > TOGETHER * whole ? last - first : undefined;
}

/** Throws RuntimeFailure FC0924 where the steps of a run are none of the graph that is to be compared with it. */
export function refuseOtherRun({ path, trace }: TracedRun, graph: RuntimeGraph): void {
  const foreign = foreignSteps(graph, trace.slices);
  if (foreign === undefined) return;
  throw new RuntimeFailure('FC0924', `${path} is no run of plan ${graph.plan} as it is here: ${foreign}`, {
    subject: path,
    help: 'name what it was run with by `--set`, or the plan that it is to be compared with by `--plan`',
  });
}

/** Throws RuntimeFailure FC0923 where requests of a run are longer than the context of its model lets any be. */
export function refuseBeyondContext(
  { path, requests }: TracedRun,
  { name, shape: { context } }: Plan['model'],
): void {
  const most = requests.reduce((max, each) => Math.max(max, each.promptTokens, each.outputTokens), 0);
  if (most <= context) return;
  const said = `a prompt or an answer of ${formatCount(most)} tokens`;
  throw unusable(
    path,
    `${path} tells of ${said}, and model ${name} has a context of ${formatCount(context)}`,
  );
}

/** Arrivals and ends. */
function requestSlices(slices: ReadTrace['slices']): ReadTrace['slices'] {
  return slices.filter(({ process, thread }) => process === 'host' && thread === 'requests');
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

type Like = NonNullable<SimulatedRequest['like']>;

function finishedRequests(path: string, { slices }: ReadTrace): readonly SimulatedRequest[] {
  const own = requestSlices(slices);
  for (const { name, args } of own)
    for (const key of ['promptTokens', 'tokens'])
      if (args[key] !== undefined && !isCount(args[key])) {
        const said = `${key}: ${JSON.stringify(args[key])}`;
        throw unusable(
          path,
          `${path} is damaged: ${name} of a request has \`${said}\`, which counts no tokens`,
        );
      }
  const fact = (name: string, key: string): ReadonlyMap<unknown, number> =>
    new Map(
      own.flatMap((slice) => {
        const value = slice.args[key];
        return slice.name === name && typeof value === 'number'
          ? [[slice.args['request'], value] as const]
          : [];
      }),
    );
  const outputs = fact('finish', 'tokens');
  const prompts = fact('arrive', 'promptTokens');
  const [likes, prefixes] = [fact('arrive', 'like'), fact('arrive', 'prefixTokens')];
  const finished: SimulatedRequest[] = [];
  const positions = new Map<unknown, number>();
  /** Of those that were not finished, a finished one that begins like it, as far as any does. */
  const standIns = new Map<unknown, Like>();
  /** The finished one before it that begins the most like it; it is to have a position from now on. */
  const likeFinished = (id: unknown, position: number): Like | undefined => {
    let most: Like | undefined;
    let tokens = Infinity;
    for (let own = id; ;) {
      const [earlier, prefix] = [likes.get(own), prefixes.get(own)];
      if (typeof own !== 'number' || earlier === undefined || prefix === undefined || !(earlier < own))
        return most;
      tokens = Math.floor(Math.min(tokens, prefix, prompts.get(own)!, prompts.get(earlier) ?? 0));
      if (!(tokens >= 1)) return most;
      const finishedOne = positions.get(earlier);
      const known = finishedOne === undefined ? standIns.get(earlier) : { request: finishedOne, tokens };
      const inCommon = Math.min(tokens, known?.tokens ?? 0);
      if (known !== undefined && inCommon > (most?.tokens ?? 0))
        most = { request: known.request, tokens: inCommon };
      if (finishedOne !== undefined) return most;
      if (tokens > (known?.tokens ?? 0)) standIns.set(earlier, { request: position, tokens });
      own = earlier;
    }
  };
  // Where several schedulers have requests each, arrivals of one stand in the trace before those of the next.
  const inOrder = [...prompts].sort(([a], [b]) => Number(a) - Number(b));
  for (const [id, promptTokens] of inOrder) {
    const outputTokens = outputs.get(id);
    if (outputTokens === undefined || outputTokens < 1 || promptTokens < 1) continue;
    const like = likeFinished(id, finished.length);
    positions.set(id, finished.length);
    finished.push({ promptTokens, outputTokens, ...(like && { like }) });
  }
  return finished;
}

/** Requests under a name. */
export interface NamedWorkload {
  readonly name: string;
  /** How many. */
  readonly requests: number;
}

export interface AgainstReport {
  /** File of the trace. */
  readonly trace: string;
  /** Plan that is simulated, and its model, and those that were run where the trace says so. */
  readonly plan: string;
  readonly planOfRun?: string;
  readonly model: string;
  readonly modelOfRun?: string;
  /** How stages change in the simulation, and how they did in the run where the trace says so. */
  readonly transitions: TransitionMode;
  readonly transitionsOfRun?: TransitionMode;
  /** Params that are not as in the run: `tp = 4`, and `tp = 1` of the run. */
  readonly params?: string;
  readonly paramsOfRun?: string;
  /** How many the run had. */
  readonly requests: number;
  /** Seconds over which they arrived, where they did not come together as those of a simulation do. */
  readonly arrivedOver?: number;
  /** What is simulated instead of them, where a workload is named. */
  readonly workload?: NamedWorkload;
  readonly categories: readonly Comparison[];
  /** Categories that are not compared: the trace leaves out what lies within steps. */
  readonly lacking?: readonly string[];
}

/** How a simulation was run beside the run that it is compared with. */
interface Alike extends Pick<CheckedAsRun, 'differ'> {
  readonly transitions: TransitionMode;
}

/**
 * Compares the slices of a simulation, in the order of their beginnings, with a run.
 *
 * @param alike how the simulation was run, and what of it is not as in the run
 * @param workload what was simulated, where it is not the requests of the run
 */
export function againstReport(
  run: TracedRun,
  { name, model }: Pick<Plan, 'name' | 'model'>,
  simulated: Iterable<TimedName>,
  { transitions, differ }: Alike,
  workload?: NamedWorkload,
): AgainstReport {
  const { categories, lacking } = compareCategories(run.trace.slices, simulated);
  return {
    trace: run.path,
    plan: name,
    ...(run.plan !== undefined && { planOfRun: run.plan }),
    model: model.name,
    ...(run.model !== undefined && { modelOfRun: run.model }),
    transitions,
    ...(run.transitions !== undefined && { transitionsOfRun: run.transitions }),
    ...(differ && { params: differ.here, paramsOfRun: differ.run }),
    requests: run.requests.length,
    ...(run.arrivedOver !== undefined && { arrivedOver: run.arrivedOver }),
    ...(workload && { workload }),
    categories,
    ...(lacking.length > 0 && { lacking }),
  };
}

/** The comparison as a table. Seconds are added up over devices, apart from those of the whole run. */
export function describeAgainst({
  trace,
  plan,
  planOfRun = plan,
  model,
  modelOfRun = model,
  transitions,
  transitionsOfRun = transitions,
  params,
  paramsOfRun,
  requests,
  arrivedOver,
  workload,
  categories,
  lacking = [],
}: AgainstReport): string {
  const table = formatTable(
    [
      ['category', 'run', 'simulated', 'error', 'slices of the run', 'simulated'],
      ...categories.map(({ category, of, run, simulated, error }) => [
        `${of === undefined ? '' : '  '}${category}`,
        formatDuration(run.seconds),
        formatDuration(simulated.seconds),
        error === undefined ? '-' : formatSignedPercent(error, 0),
        formatCount(run.slices),
        formatCount(simulated.slices),
      ]),
    ],
    [false, true, true, true, true, true],
  );
  const without =
    lacking.length === 0
      ? ''
      : `\n  not compared: ${lacking.join(', ')}; the trace leaves out what lies within steps`;
  const spread =
    arrivedOver === undefined
      ? ''
      : `\n  its requests arrived over ${formatDuration(arrivedOver)}; the simulation has all of its own from the beginning`;
  const others = [
    ...(planOfRun === plan ? [] : [`of plan ${planOfRun}`]),
    ...(modelOfRun === model ? [] : [`for model ${modelOfRun}`]),
    ...(paramsOfRun === undefined ? [] : [`with ${paramsOfRun}`]),
    ...(transitionsOfRun === transitions ? [] : [`with ${transitionsOfRun} transitions`]),
  ];
  const here = [
    ...(params === undefined ? [] : [` with ${params}`]),
    ...(transitionsOfRun === transitions ? [] : [` with ${transitions} transitions`]),
  ].join('');
  const other = others.length === 0 ? '' : `, a run ${others.join(' ')}`;
  const instead =
    workload === undefined
      ? ''
      : `; simulated: ${plural(workload.requests, 'request')} of ${workload.name}, which is other work`;
  return `plan ${plan}${here} against ${trace}${other}, ${plural(requests, 'request')}${instead}; seconds of all devices\n${indent(table)}${without}${spread}`;
}
