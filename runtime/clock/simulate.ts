/**
 * The clock executor: carries out the actions of the scheduler on a virtual clock. Scheduler, runtime graph and the
 * order in which things wait for each other are those of the executor on devices; how long each takes comes from the
 * cost model. A finite list of requests is run from the first to the last, warm-up and tail included.
 */
import { engineOf } from '../../compiler/cost/engine-model.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { schedulerConfig } from '../engine/scheduler-config.js';
import { beginRows, prefillRows } from '../engine/trace-work.js';
import type { StepLabel } from '../exec/pipeline.js';
import { runThrough } from '../run-through.js';
import { longestSequence, newTokensWithin, rejection } from '../scheduler/limits.js';
import { createScheduler, type SchedulerState } from '../scheduler/scheduler.js';
import type { Action, ActionOf, SchedulerConfig, SchedulerEvent, StepItem } from '../scheduler/types.js';
import { commonPrefixes, type Beginning } from './common-prefixes.js';
import { createKvHistory } from './kv-history.js';
import type { SimulatedRequest, SimulateOptions, Simulation } from './simulation.js';
import { createClockTrace, type ClockTrace } from './trace-clock.js';
import { virtualEngines } from './virtual-engines.js';
import { createPageHomes } from './page-homes.js';
import { createWorld, type World } from './world.js';

/**
 * Runs the requests through a compiled plan.
 *
 * @param plan the plan the graph was compiled from: its topology has the devices and links
 */
export function simulate(
  graph: RuntimeGraph,
  plan: Plan,
  requests: readonly SimulatedRequest[],
  options: SimulateOptions = {},
): Simulation {
  return simulateWhile(graph, plan, requests, options, () => true)!;
}

/** A step that the scheduler gives out, and what the simulation has come to by then. */
export interface StepGivenOut {
  readonly items: readonly StepItem[];
  /** Seconds on the clock. */
  readonly now: number;
  /** Sequences that have lost their KV so far. */
  readonly dropped: () => number;
  /** Whether the batch of decode has kept a sequence out, as in `SchedulerState`. */
  readonly reachedBatch: () => boolean;
}

/**
 * Runs the requests as long as `goesOn` says so, which is told of every step; undefined where it was given up.
 */
export function simulateWhile(
  graph: RuntimeGraph,
  plan: Plan,
  requests: readonly SimulatedRequest[],
  options: SimulateOptions,
  goesOn: (step: StepGivenOut) => boolean,
): Simulation | undefined {
  return runThrough(simulateInParts(graph, plan, requests, options, goesOn));
}

/** Events between two times that a simulation in parts lets others do something. */
const EVENTS_OF_PART = 1000;

/** As `simulateWhile`, with pauses for whoever wants to be asked now and then whether to go on at all. */
export function* simulateInParts(
  graph: RuntimeGraph,
  plan: Plan,
  requests: readonly SimulatedRequest[],
  options: SimulateOptions,
  goesOn: (step: StepGivenOut) => boolean,
): Generator<void, Simulation | undefined> {
  const engine = options.engine ?? engineOf(plan.topology);
  const transitions = options.transitions ?? 'dataflow';
  const trace = options.timeline && createClockTrace(graph, options.timeline);
  const world = createWorld(graph, plan, engine, { transitions, ...(trace && { trace }) });
  const config = schedulerConfig(graph, transitions);
  const configs = virtualEngines(config, engine);
  const beginningOf = commonPrefixes(requests, config.pageTokens, config.context);
  const owners = graph.pools.filter(({ within }) => within === undefined).map(({ id }) => id);
  const history = trace && createKvHistory(new Set(owners));
  const states = (): readonly SchedulerState[] => engines.map(({ state }) => state());
  const sample = (): void => {
    const now = world.clock.now();
    if (history?.isDue(now) !== true) return;
    history.add(now, states());
    if (configs.length === 1) trace?.count(now, engines[0]!.state());
  };
  let givenUp = false;
  const dropped = (): number => states().reduce((sum, { preemptions }) => sum + preemptions.dropped, 0);
  const reachedBatch = (): boolean => states().some((state) => state.reachedBatch);
  const onStep = (items: readonly StepItem[]): void => {
    givenUp ||= !goesOn({ items, now: world.clock.now(), dropped, reachedBatch });
  };
  // All have as much room.
  const longest = longestSequence(configs[0]!);
  const arriving = requests.map((request, id): OwnRequest => {
    const maxNewTokens = newTokensWithin(longest, request.promptTokens, request.outputTokens);
    return { ...request, id, maxNewTokens, beginning: beginningOf(id) };
  });
  const dealt = dealInTurn(arriving, configs);
  const engines: readonly ClockEngine[] = configs.map((each, part) =>
    startEngine(world, each, dealt[part]!, trace, { onAsked: sample, onStep }),
  );
  /** False when nothing is left to come, or the rest is given up. */
  const runPart = (): boolean => {
    for (let events = 0; events < EVENTS_OF_PART; events++)
      if (givenUp || !world.clock.advance()) return false;
    return true;
  };
  for (const each of engines) each.pump();
  sample();
  while (runPart()) yield;
  if (givenUp) return undefined;
  for (const each of engines) each.mustBeDone();
  history?.close(world.clock.now(), states());
  const counts = engines.map((each) => each.counts());
  const total = (pick: (count: EngineCounts) => number): number =>
    counts.reduce((sum, count) => sum + pick(count), 0);
  const decodeSteps = total((count) => count.decodeSteps);
  return {
    ...world.result(states()),
    requests: {
      finished: total((count) => count.finished),
      rejected: total((count) => count.rejected),
      cut: total((count) => count.cut),
    },
    tokens: { prompt: total((count) => count.prompt), output: total((count) => count.output) },
    reused: {
      device: total(({ reused }) => reused.device),
      host: total(({ reused }) => reused.host),
      disk: total(({ reused }) => reused.disk),
    },
    copiedPages: total((count) => count.copied),
    steps: total((count) => count.steps),
    preemptions: {
      swapped: total((count) => count.swapped),
      dropped: total((count) => count.dropped),
    },
    kv: history?.samples() ?? [],
    latency: meanLatency(engines.flatMap((each) => each.latencies())),
    meanDecodeBatch: decodeSteps === 0 ? 0 : total((count) => count.decodeRows) / decodeSteps,
  };
}

/** Seconds at which a request got its first token and its latest, NaN before that, and how many tokens it got. */
interface Latency {
  first: number;
  last: number;
  tokens: number;
}

/** A request on its way. */
interface Progress extends Latency {
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  /** It was to have more than `maxNewTokens`. */
  readonly cut: boolean;
  /** Prompt tokens that have been prefilled, once or more often: those that were found come with those behind them. */
  prefilled: number;
  /** The stage of its latest step, where there is a trace. */
  stage: string | undefined;
  /** How many of its tokens steps have been given or passed over, where there is a trace. */
  begun: number;
  /** What the scheduler is told of each token. */
  readonly sampled: { readonly sequence: number; readonly finished: boolean };
}

function meanLatency(latencies: readonly Latency[]): Simulation['latency'] {
  const mean = (values: readonly number[]): number =>
    values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    completion: mean(latencies.map(({ last }) => last)),
    betweenTokens: mean(
      latencies
        .filter(({ tokens }) => tokens > 1)
        .map(({ first, last, tokens }) => (last - first) / (tokens - 1)),
    ),
  };
}

/** What the requests of one scheduler came to. */
interface EngineCounts {
  readonly finished: number;
  readonly rejected: number;
  readonly cut: number;
  readonly prompt: number;
  readonly output: number;
  readonly steps: number;
  readonly decodeSteps: number;
  readonly decodeRows: number;
  readonly swapped: number;
  readonly dropped: number;
  readonly reused: SchedulerState['reused'];
  readonly copied: number;
}

/** A scheduler at work on the clock. */
interface ClockEngine {
  /** Asks the scheduler for actions, and carries them out. */
  readonly pump: () => void;
  readonly state: () => SchedulerState;
  /** Throws when something is left to do: the clock has run out of events. */
  readonly mustBeDone: () => void;
  readonly counts: () => EngineCounts;
  /** Latencies of the requests that got a token, in the order of their first. */
  readonly latencies: () => readonly Latency[];
}

interface EngineListener {
  /** The scheduler has been told of all that happened at a moment, and has been asked for more. */
  readonly onAsked: () => void;
  readonly onStep: (items: readonly StepItem[]) => void;
}

/** A request as its scheduler gets it. */
interface OwnRequest extends SimulatedRequest {
  readonly id: number;
  /** As many of `outputTokens` as there is room for. */
  readonly maxNewTokens: number;
  readonly beginning: Beginning;
}

/** Deals requests out to schedulers that are alike, in turn: a request that none has room for takes nobody's turn. */
function dealInTurn(
  requests: readonly OwnRequest[],
  configs: readonly SchedulerConfig[],
): readonly (readonly OwnRequest[])[] {
  if (configs.length === 1) return [requests];
  const dealt = configs.map((): OwnRequest[] => []);
  let turn = 0;
  for (const request of requests) {
    const isHeld = rejection(configs[0]!, request) === undefined;
    dealt[isHeld ? turn++ % configs.length : 0]!.push(request);
  }
  return dealt;
}

/** One scheduler and its requests in a world that others may share. */
function startEngine(
  world: World,
  config: SchedulerConfig,
  requests: readonly OwnRequest[],
  trace: ClockTrace | undefined,
  { onAsked, onStep }: EngineListener,
): ClockEngine {
  const scheduler = createScheduler(config);
  const homes = createPageHomes();
  const counts = { cut: 0, output: 0, steps: 0, decodeSteps: 0, decodeRows: 0 };
  /** By request. */
  const progress: Progress[] = [];
  /** Of those that got a token, in the order of their first. */
  const latencies: Latency[] = [];
  for (const { id, promptTokens, outputTokens, maxNewTokens, cut = false, beginning } of requests) {
    progress[id] = {
      promptTokens,
      maxNewTokens,
      cut: cut || maxNewTokens < outputTokens,
      first: NaN,
      last: NaN,
      tokens: 0,
      prefilled: 0,
      stage: undefined,
      begun: 0,
      sampled: { sequence: id, finished: false },
    };
    scheduler.apply({ kind: 'arrive', request: { id, promptTokens, maxNewTokens, ...beginning } });
    trace?.arrive(id, promptTokens, maxNewTokens, beginning.promptIds);
  }
  /** The scheduler is asked for more once all that happens at this moment has been told to it, as on devices. */
  let asking = false;
  const answer = (event: SchedulerEvent): void => {
    scheduler.apply(event);
    if (asking) return;
    asking = true;
    world.clock.at(world.clock.now(), () => {
      asking = false;
      pump();
      onAsked();
    });
  };
  const noteToken = (request: Progress, now: number): Progress['sampled'] => {
    const { sampled } = request;
    if (request.tokens === 0) {
      request.first = now;
      latencies.push(request);
    }
    request.last = now;
    request.tokens++;
    if (request.tokens === request.maxNewTokens) {
      if (request.cut) counts.cut++;
      trace?.leave(sampled.sequence, now, request.tokens);
    }
    return sampled;
  };
  /** Counts a step that is done; returns what the scheduler is told of its tokens. */
  const countStep = (items: readonly StepItem[], now: number): readonly Progress['sampled'][] => {
    const sampled: Progress['sampled'][] = [];
    let decoding = 0;
    for (const { sequence, start, count, sample } of items) {
      const request = progress[sequence]!;
      const { promptTokens, prefilled } = request;
      if (start >= promptTokens) decoding++;
      else request.prefilled = Math.max(prefilled, Math.min(start + count, promptTokens));
      if (sample) sampled.push(noteToken(request, now));
    }
    counts.output += sampled.length;
    counts.steps++;
    counts.decodeRows += decoding;
    if (decoding > 0) counts.decodeSteps++;
    return sampled;
  };
  /** How a step appears in the trace: requests are those whose first step of the stage it is. */
  const labelOf = (action: ActionOf<'step'>): StepLabel | undefined => {
    if (trace === undefined) return undefined;
    const { stage, items } = action;
    const entering = items.map(({ sequence }) => sequence).filter((id) => progress[id]!.stage !== stage);
    for (const id of entering) progress[id]!.stage = stage;
    const prefill = prefillRows(items, (sequence) => progress[sequence]!.promptTokens);
    const reused = items.reduce((sum, item) => sum + beginRows(progress[item.sequence]!, item), 0);
    return trace.label(action, prefill, entering, reused);
  };
  const perform = (action: Action): void => {
    switch (action.kind) {
      case 'step':
        onStep(action.items);
        world.step(action, labelOf(action), () => {
          const sampled = countStep(action.items, world.clock.now());
          answer({ kind: 'step_done', id: action.id, sampled });
        });
        return;
      case 'page_out':
        world.movePages(action, homes, () => answer({ kind: 'page_out_done', id: action.id }));
        return;
      case 'page_in':
        world.movePages(action, homes, () => answer({ kind: 'page_in_done', id: action.id }));
        return;
      case 'spill':
        world.spillPages(action, homes, () => answer({ kind: 'spill_done', id: action.id, failed: false }));
        return;
      case 'fetch':
        world.spillPages(action, homes, () => answer({ kind: 'fetch_done', id: action.id, failed: false }));
        return;
      case 'switch':
        world.switchStage(action, () => answer({ kind: 'switch_done', id: action.id }));
        return;
      case 'prepare':
        world.prepareSwitch(action);
        return;
      case 'reject':
        trace?.reject(action.sequence, world.clock.now());
    }
  };
  const pump = (): void => {
    for (const action of scheduler.next()) perform(action);
  };
  return {
    pump,
    state: () => scheduler.state(),
    mustBeDone() {
      if (!scheduler.idle()) throw new Error('the scheduler has work left but nothing is under way');
    },
    latencies: () => latencies,
    counts() {
      const state = scheduler.state();
      const { finished, rejected, preemptions, reused, copied } = state;
      const prompt = requests.reduce((sum, { id }) => sum + progress[id]!.prefilled, 0);
      return { ...counts, ...preemptions, prompt, finished, rejected, reused, copied };
    },
  };
}
