/**
 * The clock executor: carries out the actions of the scheduler on a virtual clock. Scheduler, runtime graph and the
 * order in which things wait for each other are those of the executor on devices; how long each takes comes from the
 * cost model. A finite list of requests is run from the first to the last, warm-up and tail included.
 */
import { FULCRUM_ENGINE } from '../../compiler/cost/engine-model.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { schedulerConfig } from '../engine/scheduler-config.js';
import { longestSequence } from '../scheduler/limits.js';
import { createScheduler } from '../scheduler/scheduler.js';
import type { Action, SchedulerConfig, SchedulerEvent } from '../scheduler/types.js';
import { createKvHistory, type KvHistory } from './kv-history.js';
import type { SimulatedRequest, SimulateOptions, Simulation } from './simulation.js';
import { virtualEngines } from './virtual-engines.js';
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
  const engine = options.engine ?? FULCRUM_ENGINE;
  const world = createWorld(graph, plan, engine, options.onSpan ?? (() => undefined));
  const config = schedulerConfig(graph, options.transitions ?? 'dataflow');
  const configs = engine.virtualEngines ? virtualEngines(config) : [config];
  const history = createKvHistory();
  const engines = configs.map((each, part) =>
    startEngine(
      world,
      each,
      requests.filter((_, index) => index % configs.length === part),
      history,
      () => options.onProgress?.(engines.reduce((sum, { finished }) => sum + finished(), 0)),
    ),
  );
  for (const each of engines) each.pump();
  while (world.clock.advance());
  for (const each of engines) each.mustBeDone();
  const counts = engines.map((each) => each.counts());
  const total = (pick: (count: EngineCounts) => number): number =>
    counts.reduce((sum, count) => sum + pick(count), 0);
  const decodeSteps = total((count) => count.decodeSteps);
  return {
    ...world.result(),
    requests: { finished: total((count) => count.finished), rejected: total((count) => count.rejected) },
    tokens: { prompt: total((count) => count.prompt), output: total((count) => count.output) },
    steps: total((count) => count.steps),
    preemptions: {
      swapped: total((count) => count.swapped),
      dropped: total((count) => count.dropped),
    },
    kv: history.samples(),
    latency: meanLatency(engines.flatMap((each) => each.latencies())),
    meanDecodeBatch: decodeSteps === 0 ? 0 : total((count) => count.decodeRows) / decodeSteps,
  };
}

/** When a request got its first token and its last, and how many. */
interface Latency {
  first: number;
  last: number;
  tokens: number;
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

interface EngineCounts {
  readonly finished: number;
  readonly rejected: number;
  readonly prompt: number;
  readonly output: number;
  readonly steps: number;
  readonly decodeSteps: number;
  readonly decodeRows: number;
  readonly swapped: number;
  readonly dropped: number;
}

interface ClockEngine {
  readonly pump: () => void;
  readonly finished: () => number;
  /** Throws when something is left to do: the clock has run out of events. */
  readonly mustBeDone: () => void;
  readonly counts: () => EngineCounts;
  /** Of the requests that got a token. */
  readonly latencies: () => readonly Latency[];
}

/** One scheduler and its requests in a world that others may share. */
function startEngine(
  world: World,
  config: SchedulerConfig,
  requests: readonly SimulatedRequest[],
  history: KvHistory,
  onFinished: () => void,
): ClockEngine {
  const scheduler = createScheduler(config);
  const longest = longestSequence(config);
  const counts = { prompt: 0, output: 0, steps: 0, decodeSteps: 0, decodeRows: 0 };
  const finished = (): number => scheduler.state().finished;
  requests.forEach(({ promptTokens, outputTokens }, id) => {
    const maxNewTokens = Math.max(1, Math.min(outputTokens, longest - promptTokens));
    scheduler.apply({ kind: 'arrive', request: { id, promptTokens, maxNewTokens } });
  });
  const answer = (event: SchedulerEvent): void => {
    scheduler.apply(event);
    if (history.isDue(world.clock.now())) {
      history.add(world.clock.now(), scheduler.state());
      onFinished();
    }
    pump();
  };
  const countStep = ({ items }: Extract<Action, { kind: 'step' }>): void => {
    let decoding = 0;
    for (const { sequence, start, count } of items) {
      const { promptTokens } = requests[sequence]!;
      counts.prompt += Math.max(0, Math.min(start + count, promptTokens) - start);
      if (start >= promptTokens) decoding++;
    }
    counts.output += items.filter((item) => item.sample).length;
    counts.steps++;
    counts.decodeRows += decoding;
    if (decoding > 0) counts.decodeSteps++;
  };
  const latencies = new Map<number, Latency>();
  const noteToken = (sequence: number): void => {
    const now = world.clock.now();
    const known = latencies.get(sequence);
    if (known === undefined) latencies.set(sequence, { first: now, last: now, tokens: 1 });
    else Object.assign(known, { last: now, tokens: known.tokens + 1 });
  };
  const perform = (action: Action): void => {
    switch (action.kind) {
      case 'step':
        countStep(action);
        world.step(action, () => {
          const sampled = action.items
            .filter((item) => item.sample)
            .map(({ sequence }) => ({ sequence, finished: false }));
          for (const { sequence } of sampled) noteToken(sequence);
          answer({ kind: 'step_done', id: action.id, sampled });
        });
        return;
      case 'page_out':
        world.movePages({ ...action, direction: 'out' }, () =>
          answer({ kind: 'page_out_done', id: action.id }),
        );
        return;
      case 'page_in':
        world.movePages({ ...action, direction: 'in' }, () =>
          answer({ kind: 'page_in_done', id: action.id }),
        );
        return;
      case 'spill':
        world.spillPages(action, () => answer({ kind: 'spill_done', id: action.id, failed: false }));
        return;
      case 'fetch':
        world.spillPages(action, () => answer({ kind: 'fetch_done', id: action.id, failed: false }));
        return;
      case 'switch':
        world.switchStage(action, () => answer({ kind: 'switch_done', id: action.id }));
        return;
      case 'reject':
    }
  };
  const pump = (): void => {
    for (const action of scheduler.next()) perform(action);
  };
  return {
    pump,
    finished,
    mustBeDone() {
      if (!scheduler.idle()) throw new Error('the scheduler has work left but nothing is under way');
    },
    latencies: () => [...latencies.values()],
    counts() {
      const state = scheduler.state();
      const { swapped, dropped } = state.preemptions;
      return { ...counts, finished: state.finished, rejected: state.rejected, swapped, dropped };
    },
  };
}
