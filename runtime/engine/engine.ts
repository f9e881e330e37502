/**
 * The engine on real devices: feeds events to the scheduler and carries out the actions it returns. It owns its devices
 * and everything on them until it is disposed of; a failure ends its runs but frees nothing, so that statistics can be
 * read after one.
 */
import type { LoadCosts } from '../../compiler/ir/runtime-graph.js';
import type { Device } from '../device/device.js';
import { RuntimeFailure } from '../failure.js';
import { longestSequence } from '../scheduler/limits.js';
import { createScheduler } from '../scheduler/scheduler.js';
import type { Action, SchedulerEvent, TransitionMode } from '../scheduler/types.js';
import { prepare } from './prepare.js';
import type { PrepareOptions } from './prepare.js';
import { HOST, NO_TRACE, traced } from '../trace/tracer.js';
import { measuredCosts } from './measured-costs.js';
import { moveDiskPages, moveHostPages, switchStage } from './moves.js';
import { createOpenSequences } from './open-sequences.js';
import { pageKeys } from './page-keys.js';
import type { EngineParts } from './parts.js';
import { createPromptTree } from './prompt-tree.js';
import { createRunLoop } from './run-loop.js';
import { schedulerConfig } from './scheduler-config.js';
import { runStep } from './step.js';
import { createTally, statsOf } from './tally.js';
import { countWork, workOf } from './trace-work.js';
import type { Engine } from './types.js';

/** The engine owns its devices and destroys them. */
export interface EngineOptions
  extends
    Omit<PrepareOptions, 'progress' | 'verifyMoves' | 'tracer'>,
    Partial<Pick<PrepareOptions, 'progress' | 'verifyMoves' | 'tracer'>> {
  /** Default: `dataflow`. */
  readonly transitions?: TransitionMode;
  /** Weigh loads by what the run measures, not by the graph's figures alone. Default: true. */
  readonly measuresCosts?: boolean;
  /** Compute what prompts have in common once. Default: true. */
  readonly reusesPrefixes?: boolean;
}

/** Loads weights, allocates pages and compiles all kernels. Rejects with RuntimeFailure when a device cannot. */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const { graph, devices, transitions = 'dataflow', measuresCosts = true, tracer = NO_TRACE } = options;
  const { reusesPrefixes = true } = options;
  const prepared = await prepare({
    progress: () => undefined,
    verifyMoves: false,
    ...options,
    tracer,
  });
  const config = schedulerConfig(graph, transitions);
  const scheduler = createScheduler(config);
  /** Of what is about requests on their way, and not about a stage. */
  const { origin } = graph.flow;
  const prompts = tracer === NO_TRACE || !reusesPrefixes ? undefined : createPromptTree();
  const sequences = createOpenSequences(longestSequence(config), tracer, origin, prompts);
  const tally = createTally();
  const parts: EngineParts = { graph, prepared, sequences, tally, transitions, tracer };
  const reportCosts = (): void => {
    const costs = measuresCosts ? costsSoFar(parts) : undefined;
    if (costs !== undefined) scheduler.apply({ kind: 'measured', costs });
  };
  const loop = createRunLoop<Action>({
    next() {
      const next = (): readonly Action[] => tally.scheduling(() => scheduler.next());
      const actions = traced(tracer, HOST.schedule, 'schedule', next, { origin });
      countWork(tracer, scheduler);
      return actions;
    },
    async carryOut(action) {
      const event = await perform(action, parts, reportCosts);
      if (event !== undefined) tally.scheduling(() => scheduler.apply(event));
    },
    pending: sequences.size,
  });
  for (const device of devices.values()) {
    void device.lost.then((reason) => loop.fail(lostDevice(device, reason)));
  }
  return {
    submit(request) {
      const { id, sequence } = sequences.admit(request);
      const { promptTokens, maxNewTokens } = sequence;
      const { promptIds } = request;
      const shared = reusesPrefixes && { pageKeys: pageKeys(promptIds, graph.kv.pageTokens), promptIds };
      scheduler.apply({ kind: 'arrive', request: { id, promptTokens, maxNewTokens, ...shared } });
      loop.wake();
    },
    async run(signal) {
      try {
        await loop.run(signal);
      } catch (error) {
        sequences.giveUp();
        throw error;
      }
    },
    stats: () => statsOf(tally, scheduler.state(), prepared, graph, devices),
    work: () => workOf(scheduler),
    pending: sequences.size,
    async dispose() {
      sequences.giveUp();
      try {
        // Devices are left to finish what they do, unless one of them may never finish.
        if (loop.failure() === undefined) {
          await Promise.all([...devices.values()].map((device) => device.idle()));
        }
      } finally {
        for (const device of devices.values()) device.destroy();
        await prepared.disk?.close();
      }
    },
  };
}

/** Carries out an action; resolves with the event that tells of its end, where the scheduler waits for one. */
async function perform(
  action: Action,
  parts: EngineParts,
  reportCosts: () => void,
): Promise<SchedulerEvent | undefined> {
  switch (action.kind) {
    case 'step': {
      const { prefill, sampled } = await runStep(action, parts);
      if (prefill) reportCosts();
      return { kind: 'step_done', id: action.id, sampled };
    }
    case 'page_out':
      await moveHostPages(action, parts);
      return { kind: 'page_out_done', id: action.id };
    case 'page_in':
      await moveHostPages(action, parts);
      return { kind: 'page_in_done', id: action.id };
    case 'spill':
      return { kind: 'spill_done', id: action.id, failed: await moveDiskPages(action, parts) };
    case 'fetch': {
      const failed = await moveDiskPages(action, parts);
      reportCosts();
      return { kind: 'fetch_done', id: action.id, failed };
    }
    case 'switch':
      await switchStage(action, parts);
      return { kind: 'switch_done', id: action.id };
    case 'prepare':
      parts.prepared.prepareSwitch(action.from, action.to);
      return undefined;
    case 'reject':
      parts.sequences.reject(action.sequence, action.why);
      return undefined;
  }
}

/** What the run so far says loads and prefill cost; undefined where nothing is ever loaded. */
function costsSoFar({ graph, prepared, tally }: EngineParts): Partial<LoadCosts> | undefined {
  if (graph.hostTier === undefined) return undefined;
  const work = {
    prefillTokens: tally.tokens.computed,
    prefillSeconds: tally.clocks.prefill.seconds(),
    diskBytes: prepared.disk?.stats().bytesRead ?? 0,
    diskRate: prepared.disk?.rates().read,
  };
  return measuredCosts(work, graph.hostTier.pageBytes);
}

function lostDevice({ label }: Device, reason: string): RuntimeFailure {
  return new RuntimeFailure('FC0902', `${label} was lost: ${reason}`, {
    subject: label,
    help: 'the results written so far are kept; `--resume` runs the other requests',
  });
}
