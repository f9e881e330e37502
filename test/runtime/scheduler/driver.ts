/**
 * A fake executor: it completes actions in any order, keeps a simulated KV memory, and throws as soon as the
 * scheduler breaks one of its promises.
 */
import { createMachine } from '../../../runtime/scheduler/machine.js';
import { schedulerOf } from '../../../runtime/scheduler/scheduler.js';
import type { Scheduler } from '../../../runtime/scheduler/scheduler.js';
import type { SchedulerConfig } from '../../../runtime/scheduler/types.js';
import { checkBatches, runningNow } from './batches.js';
import { checkHeadroom } from './headroom.js';
import { createKvMemory } from './kv-memory.js';
import { createPromises } from './promises.js';
import { check } from './tracks.js';
import type { Announcement, FakeRequest, Move, Step, TierMove, Track, Work } from './tracks.js';

export interface Driver {
  readonly scheduler: Scheduler;
  readonly log: readonly Work[];
  /** Switches announced, with the number of actions returned before. */
  readonly announced: readonly { readonly action: Announcement; readonly at: number }[];
  readonly rejected: ReadonlyMap<number, string>;
  arrive(request: FakeRequest): void;
  cancel(sequence: number): void;
  /** Takes the scheduler's next actions and checks them. */
  poll(): readonly Work[];
  /** Actions that may complete now: steps of one stage and replica complete in order. */
  completable(): readonly Work[];
  complete(action: Work): void;
  /** Completes everything, choosing with `choose(count)`; throws when it takes too long. */
  drain(choose?: (count: number) => number): void;
  /** Tokens generated so far. */
  generated(sequence: number): number;
  hasEnded(sequence: number): boolean;
  /** Tokens that were passed over because others had computed them. */
  reused(): number;
}

/** `fails` says whether a move to or from disk that completes now has failed. */
export function createDriver(
  config: SchedulerConfig,
  fails: (kind: TierMove['kind']) => boolean = () => false,
): Driver {
  const machine = createMachine(config);
  const scheduler = schedulerOf(machine);
  const tracks = new Map<number, Track>();
  const rejected = new Map<number, string>();
  const flying = new Map<number, Work>();
  const log: Work[] = [];
  const announced: { readonly action: Announcement; readonly at: number }[] = [];
  const memory = createKvMemory(config, tracks, flying);
  const promises = createPromises(config, scheduler, memory, tracks, flying);

  const completeStep = (step: Step): void => {
    const sampled: { sequence: number; finished: boolean }[] = [];
    memory.copyPages(step);
    for (const item of step.items) {
      const track = tracks.get(item.sequence)!;
      track.inFlight.delete(step.id);
      memory.writeRow(step, item);
      if (!item.sample || track.ended) continue;
      track.generated++;
      const { outputTokens, maxNewTokens } = track.request;
      track.ended = track.generated >= Math.min(outputTokens, maxNewTokens);
      sampled.push({ sequence: item.sequence, finished: track.generated >= outputTokens });
    }
    scheduler.apply({ kind: 'step_done', id: step.id, sampled });
  };

  const completeMove = (move: Move | TierMove): void => {
    const { kind, id } = move;
    const failed = (kind === 'spill' || kind === 'fetch') && fails(kind);
    memory.copy(move, failed);
    tracks.get(move.sequence)!.inFlight.delete(id);
    if (kind === 'spill' || kind === 'fetch') scheduler.apply({ kind: `${kind}_done`, id, failed });
    else scheduler.apply({ kind: `${kind}_done`, id });
  };

  const poll = (): readonly Work[] => {
    const actions: Work[] = [];
    const before = runningNow(machine);
    checkHeadroom(machine);
    const given = scheduler.next();
    checkHeadroom(machine);
    checkBatches(machine, before, given);
    for (const action of given) {
      if (action.kind === 'prepare') {
        promises.checkAnnouncement(action);
        announced.push({ action, at: log.length });
        continue;
      }
      if (action.kind === 'reject') rejected.set(action.sequence, action.why);
      else {
        promises.checkAction(action);
        flying.set(action.id, action);
      }
      log.push(action);
      actions.push(action);
    }
    promises.checkRoom();
    const { running } = scheduler.state();
    const batch = config.stages.filter((stage) => stage.phases.includes('decode'));
    check(running <= batch.reduce((sum, stage) => sum + stage.batchRequests, 0), 'decode keeps to its batch');

    check(scheduler.next().length === 0, 'actions are returned once');
    return actions;
  };

  const completable = (): readonly Work[] => {
    const seen = new Set<string>();
    return [...flying.values()].filter((action) => {
      if (action.kind !== 'step') return true;
      const lane = `${action.stage}/${action.replica}`;
      const first = !seen.has(lane);
      seen.add(lane);
      return first;
    });
  };

  const complete = (action: Work): void => {
    if (action.kind === 'reject') throw new Error('a rejection is not answered');
    flying.delete(action.id);
    if (action.kind === 'step') completeStep(action);
    else if (action.kind === 'switch') {
      promises.settle(action.group, action.to);
      scheduler.apply({ kind: 'switch_done', id: action.id });
    } else completeMove(action);
  };

  return {
    scheduler,
    log,
    announced,
    rejected,
    arrive(request) {
      tracks.set(request.id, { request, generated: 0, next: 0, ended: false, inFlight: new Set() });
      scheduler.apply({ kind: 'arrive', request });
    },
    cancel(sequence) {
      tracks.get(sequence)!.ended = true;
      scheduler.apply({ kind: 'cancel', sequence });
    },
    poll,
    completable,
    complete,
    drain(choose = () => 0) {
      const tokens = [...tracks.values()].reduce(
        (sum, { request }) => sum + request.promptTokens + request.maxNewTokens,
        0,
      );
      for (let events = 0; ; events++) {
        check(events < 1000 + 60 * tokens, 'a batch ends');
        poll();
        const ready = completable();
        if (ready.length === 0) break;
        complete(ready[choose(ready.length)]!);
      }
      check(scheduler.idle(), 'nothing is left when nothing is in flight');
    },
    generated: (sequence) => tracks.get(sequence)!.generated,
    hasEnded: (sequence) => tracks.get(sequence)!.ended,
    reused: promises.reused,
  };
}
