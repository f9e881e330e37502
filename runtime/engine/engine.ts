/**
 * The engine on real devices: feeds events to the scheduler and carries out the actions it returns.
 */
import { residencesOf, transitionBetween } from '../../compiler/ir/residences.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { Device } from '../device/device.js';
import { createHostTime, timed } from '../exec/host-time.js';
import { buildStepArgs } from '../exec/step-args.js';
import { RuntimeFailure } from '../failure.js';
import type { KernelLibrary } from '../kernels/kernel.js';
import type { TierFiles } from '../kv/tier-files.js';
import type { WeightSource } from '../weights/weight-source.js';
import { createLogitAdjuster } from '../sampling/adjust.js';
import { sampleMode } from '../sampling/choose.js';
import { longestSequence } from '../scheduler/limits.js';
import { createScheduler } from '../scheduler/scheduler.js';
import type { Action, SchedulerEvent, TransitionMode } from '../scheduler/types.js';
import { createBusyClock } from './clock.js';
import { prepare } from './prepare.js';
import type { OnMove, PrepareProgress } from './prepare.js';
import { DISK, HOST, NO_TRACE, traced } from '../trace/tracer.js';
import type { Tracer } from '../trace/tracer.js';
import { readTokens, withAdjustments } from './sample-rows.js';
import { measuredCosts } from './measured-costs.js';
import { countWork, labelOf, movingPages, workOf } from './trace-work.js';
import { pageKeys } from './page-keys.js';
import { schedulerConfig } from './scheduler-config.js';
import { beginRows, finishRows, promptRows, stuckAnswer, takeToken } from './sequence.js';
import type { Sequence } from './sequence.js';
import type { Engine, EngineStats, GeneratedToken } from './types.js';

export interface EngineOptions {
  readonly graph: RuntimeGraph;
  /** One open device per runtime device, by topology device id. The engine owns and destroys them. */
  readonly devices: ReadonlyMap<number, Device>;
  readonly library: KernelLibrary;
  /** Where weights are read from: files, or a host copy of them when transitions need them again. */
  readonly source: WeightSource;
  readonly progress?: PrepareProgress;
  /** Default: `dataflow`. */
  readonly transitions?: TransitionMode;
  /** Checks everything that moves end to end; slow. */
  readonly verifyMoves?: boolean;
  /** Told of every slot's worth of weights that moved, with its times: what a trace shows. */
  readonly onMove?: OnMove;
  /** Files of the disk tier; default: those of the system. */
  readonly tierFiles?: TierFiles;
  /** Weigh loads by what the run measures, not by the graph's figures alone. Default: true. */
  readonly measuresCosts?: boolean;
  /** Compute what prompts have in common once. Default: true. */
  readonly reusesPrefixes?: boolean;
  /** Default: none. */
  readonly tracer?: Tracer;
}

type StepAction = Extract<Action, { kind: 'step' }>;
type TierMove = Extract<Action, { kind: 'spill' | 'fetch' }>;

/** Loads weights, allocates pages and compiles all kernels. Rejects with RuntimeFailure when a device cannot. */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const { graph, devices, transitions = 'dataflow', measuresCosts = true, tracer = NO_TRACE } = options;
  const { reusesPrefixes = true } = options;
  const prepared = await prepare(
    graph,
    devices,
    options.library,
    options.source,
    options.progress ?? (() => undefined),
    options.verifyMoves ?? false,
    tracer,
    options.tierFiles,
    options.onMove,
  );
  const config = schedulerConfig(graph, transitions);
  /** Of what is about requests on their way, and not about a stage. */
  const { origin } = graph.flow;
  const scheduler = createScheduler(config);
  const longest = longestSequence(config);
  const sequences = new Map<number, Sequence>();
  const clocks = { prefill: createBusyClock(), decode: createBusyClock(), transition: createBusyClock() };
  const counts = {
    promptTokens: 0,
    computedTokens: 0,
    generatedTokens: 0,
    transitions: 0,
    prefillSteps: 0,
    decodeSteps: 0,
  };
  const bytes = { weights: 0, kvOut: 0, kvIn: 0 };
  const host = { prefill: createHostTime(), decode: createHostTime() };
  let scheduleSeconds = 0;
  let nextSequence = 0;
  let inFlight = 0;
  let failure: Error | undefined;
  let wake: () => void = () => undefined;

  for (const device of devices.values()) {
    void device.lost.then((reason) =>
      fail(
        new RuntimeFailure('FC0902', `${device.label} was lost: ${reason}`, {
          subject: device.label,
          help: 'the results written so far are kept; `--resume` runs the other requests',
        }),
      ),
    );
  }

  function schedule<T>(work: () => T): T {
    const began = performance.now();
    const result = work();
    scheduleSeconds += (performance.now() - began) / 1000;
    return result;
  }

  function fail(error: Error): void {
    failure ??= error;
    wake();
  }

  async function runStep(action: StepAction): Promise<SchedulerEvent> {
    const { stage, layout, pipeline } = prepared.stages.get(action.stage)!;
    const prefill = action.items.some(
      (item) => item.count > 1 || item.start < sequences.get(item.sequence)!.promptTokens,
    );
    const clock = prefill ? clocks.prefill : clocks.decode;
    const encoding = tracer.begin(HOST.encode, 'encode', { step: action.id, origin: stage.origin });
    const mine = prefill ? host.prefill : host.decode;
    const plainArgs = timed(mine, 'encode', () =>
      buildStepArgs(
        layout,
        action.items,
        graph.kv.pageTokens,
        (sequence, position) => sequences.get(sequence)!.tokens[position]!,
        (sequence) => {
          const { request, tokens } = sequences.get(sequence)!;
          const { seed, temperature } = request.sampling;
          return { mode: sampleMode(request.sampling), seed, temperature, position: tokens.length };
        },
      ),
    );
    const sampling = action.items.filter((item) => item.sample).map((item) => sequences.get(item.sequence)!);
    const args = timed(mine, 'encode', () =>
      withAdjustments(plainArgs, sampling, graph.model.shape.vocab, stage.maxSequences),
    );
    encoding.end({ rows: args.rowCount });
    const reused = action.items.reduce(
      (sum, item) => sum + beginRows(sequences.get(item.sequence)!, item),
      0,
    );
    const label = labelOf(action, stage, prefill, entering(action), reused);
    clock.begin();
    let chosen: readonly GeneratedToken[];
    try {
      chosen = await pipeline.step(
        action.replica,
        args,
        label,
        (ranks) => readTokens(stage, ranks, args, sampling, mine, tracer),
        mine,
      );
    } finally {
      clock.end();
    }
    if (prefill) counts.prefillSteps++;
    else counts.decodeSteps++;
    for (const item of action.items) {
      const sequence = sequences.get(item.sequence)!;
      counts.computedTokens += promptRows(sequence, item);
      counts.promptTokens += finishRows(sequence, item);
    }
    if (prefill) reportCosts();
    const sampled = action.items
      .filter((item) => item.sample)
      .map((item, i) => ({ sequence: item.sequence, finished: deliver(item.sequence, chosen[i]!) }));
    return { kind: 'step_done', id: action.id, sampled };
  }

  /** Sequences whose first step of a stage this is. */
  function entering(action: StepAction): readonly number[] {
    return action.items.flatMap(({ sequence: id }) => {
      const sequence = sequences.get(id)!;
      if (sequence.stage === action.stage) return [];
      sequence.stage = action.stage;
      return [id];
    });
  }

  /** Hands a token to its request; true when it was the last. */
  function deliver(id: number, token: GeneratedToken): boolean {
    const sequence = sequences.get(id)!;
    const { request } = sequence;
    counts.generatedTokens++;
    const state = takeToken(sequence, token);
    if (state === 'open') return false;
    sequences.delete(id);
    request.constraint?.dispose();
    if (state === 'stuck') request.onError(stuckAnswer(sequence));
    else request.onFinish(state);
    const generated = sequence.tokens.length - sequence.promptTokens;
    const slice = tracer.begin(HOST.requests, 'finish', { request: id, tokens: generated, origin });
    slice.flow('end', id);
    slice.end();
    return true;
  }

  // Actions overlap: a count is read and written only after what it counts has happened.
  async function pageOut(action: Extract<Action, { kind: 'page_out' }>): Promise<void> {
    const pool = prepared.pools.get(action.pool)!;
    const slice = movingPages(tracer, graph, action);
    const moved = await pool.pageOut(action.replica, action.pages, action.hostPages);
    slice.end();
    bytes.kvOut += moved;
  }

  async function pageIn(action: Extract<Action, { kind: 'page_in' }>): Promise<void> {
    const pool = prepared.pools.get(action.pool)!;
    const slice = movingPages(tracer, graph, action);
    const moved = await pool.pageIn(action.replica, action.pages, action.hostPages);
    slice.end();
    bytes.kvIn += moved;
  }

  /** Host pages to disk, or back; says whether any page was lost. */
  async function moveToOrFromDisk(action: TierMove): Promise<boolean> {
    const disk = prepared.disk!;
    const slice = tracer.begin(action.kind === 'spill' ? DISK.write : DISK.read, action.kind, {
      sequence: action.sequence,
      pages: action.hostPages.length,
      origin: graph.diskTier!.origin,
    });
    const outcomes =
      action.kind === 'spill'
        ? await disk.spill(action.hostPages, action.diskPages)
        : await disk.fetch(action.diskPages, action.hostPages);
    slice.end();
    if (action.kind === 'fetch') reportCosts();
    return outcomes.some((outcome) => outcome !== 'ok');
  }

  function diskBytes(): Pick<EngineStats['bytes'], 'kvSpilled' | 'kvFetched'> {
    const disk = prepared.disk?.stats();
    return { kvSpilled: disk?.bytesWritten ?? 0, kvFetched: disk?.bytesRead ?? 0 };
  }

  function tierStats(): EngineStats['tiers'] {
    const { preemptions, spills, fetches, passedOver } = scheduler.state();
    return { ...preemptions, failedSpills: spills.failed, failedFetches: fetches.failed, passedOver };
  }

  function reportCosts(): void {
    if (!measuresCosts || graph.hostTier === undefined) return;
    const work = {
      prefillTokens: counts.computedTokens,
      prefillSeconds: clocks.prefill.seconds(),
      diskBytes: diskBytes().kvFetched,
      diskRate: prepared.disk?.rates().read,
    };
    scheduler.apply({ kind: 'measured', costs: measuredCosts(work, graph.hostTier.pageBytes) });
  }

  async function switchStage(action: Extract<Action, { kind: 'switch' }>): Promise<void> {
    const slice = tracer.begin(HOST.transitions, `${action.from} -> ${action.to}`, {
      mode: transitions,
      origin: transitionBetween(graph, residencesOf(graph), action.from, action.to)?.origin,
    });
    clocks.transition.begin();
    const moved = await prepared.switchTo(action.from, action.to, transitions);
    clocks.transition.end();
    slice.end({ bytes: moved });
    bytes.weights += moved;
    counts.transitions++;
  }

  async function perform(action: Action): Promise<SchedulerEvent | undefined> {
    switch (action.kind) {
      case 'step':
        return runStep(action);
      case 'page_out':
        await pageOut(action);
        return { kind: 'page_out_done', id: action.id };
      case 'page_in':
        await pageIn(action);
        return { kind: 'page_in_done', id: action.id };
      case 'spill':
        return { kind: 'spill_done', id: action.id, failed: await moveToOrFromDisk(action) };
      case 'fetch':
        return { kind: 'fetch_done', id: action.id, failed: await moveToOrFromDisk(action) };
      case 'switch':
        await switchStage(action);
        return { kind: 'switch_done', id: action.id };
      case 'prepare':
        prepared.prepareSwitch(action.from, action.to);
        return undefined;
      case 'reject': {
        const sequence = sequences.get(action.sequence);
        sequences.delete(action.sequence);
        sequence?.request.constraint?.dispose();
        tracer.begin(HOST.requests, 'reject', { request: action.sequence, origin }).end();
        sequence?.request.onError(new RuntimeFailure('FC0917', action.why));
        return undefined;
      }
    }
  }

  function pump(aborted: () => boolean): void {
    if (failure !== undefined || aborted()) return;
    const actions = traced(tracer, HOST.schedule, 'schedule', () => schedule(() => scheduler.next()), {
      origin,
    });
    countWork(tracer, scheduler);
    for (const action of actions) {
      inFlight++;
      perform(action)
        .then((event) => {
          if (event !== undefined) schedule(() => scheduler.apply(event));
        })
        .catch((error: unknown) => fail(error instanceof Error ? error : new Error(String(error))))
        .finally(() => {
          inFlight--;
          wake();
        });
    }
  }

  return {
    submit(request) {
      const id = nextSequence++;
      const promptTokens = request.promptIds.length;
      // What the smallest pool on the way can hold bounds a sequence as the model's context does.
      const maxNewTokens = Math.max(1, Math.min(request.maxNewTokens, longest - promptTokens));
      sequences.set(id, {
        request,
        maxNewTokens,
        tokens: [...request.promptIds],
        promptTokens,
        begun: 0,
        prefilled: 0,
        ...(request.adjust === undefined
          ? {}
          : { adjuster: createLogitAdjuster(request.adjust, request.promptIds) }),
      });
      scheduler.apply({
        kind: 'arrive',
        request: {
          id,
          promptTokens,
          maxNewTokens,
          ...(reusesPrefixes && {
            pageKeys: pageKeys(request.promptIds, graph.kv.pageTokens),
            promptIds: request.promptIds,
          }),
        },
      });
      const slice = tracer.begin(HOST.requests, 'arrive', {
        ...{ request: id, promptTokens, maxNewTokens },
        origin,
      });
      slice.flow('start', id);
      slice.end();
      wake();
    },
    async run(signal) {
      const aborted = (): boolean => signal?.aborted ?? false;
      const onAbort = (): void => wake();
      signal?.addEventListener('abort', onAbort);
      try {
        while (failure === undefined && !(aborted() && inFlight === 0) && sequences.size > 0) {
          const woken = new Promise<void>((resolve) => {
            wake = resolve;
          });
          pump(aborted);
          if (inFlight === 0 && sequences.size > 0 && !aborted()) {
            throw new Error('the scheduler has work left but no action to take');
          }
          if (sequences.size > 0) await woken;
        }
      } finally {
        wake = () => undefined;
        signal?.removeEventListener('abort', onAbort);
      }
      if (failure !== undefined) {
        sequences.clear();
        throw failure;
      }
    },
    stats: (): EngineStats => ({
      promptTokens: counts.promptTokens,
      reusedTokens: scheduler.state().reused,
      copiedPages: scheduler.state().copied,
      generatedTokens: counts.generatedTokens,
      prefillSeconds: clocks.prefill.seconds(),
      decodeSeconds: clocks.decode.seconds(),
      transitionSeconds: clocks.transition.seconds(),
      transitionExposedSeconds: prepared.exposedSeconds(),
      transitions: counts.transitions,
      steps: { prefill: counts.prefillSteps, decode: counts.decodeSteps },
      host: { schedule: scheduleSeconds, prefill: { ...host.prefill }, decode: { ...host.decode } },
      bytes: { ...bytes, load: prepared.loadedBytes, ...prepared.traffic, ...diskBytes() },
      tiers: tierStats(),
      peakMemory: Object.fromEntries(
        graph.devices.map(({ id, path }) => [path, devices.get(id)!.memory.peak]),
      ),
    }),
    work: () => workOf(scheduler),
    pending: () => sequences.size,
    async dispose() {
      try {
        if (failure === undefined) await Promise.all([...devices.values()].map((device) => device.idle()));
      } finally {
        for (const device of devices.values()) device.destroy();
        await prepared.disk?.close();
      }
    },
  };
}
