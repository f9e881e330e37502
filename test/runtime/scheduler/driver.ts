/**
 * A fake executor: it completes actions in any order, keeps a simulated KV memory, and throws as soon as the
 * scheduler breaks one of its promises.
 *
 * Every page cell holds the token written to it as `sequence:position`. A step must find all tokens before its
 * rows; moves copy cells when they are done. A page given to two sequences, freed too early, read before it was
 * written or moved to the wrong place shows up as a wrong cell.
 */
import { createScheduler } from '../../../runtime/scheduler/scheduler.js';
import type { Scheduler } from '../../../runtime/scheduler/scheduler.js';
import type { Action, SchedulerConfig, StepItem } from '../../../runtime/scheduler/types.js';

export interface FakeRequest {
  readonly id: number;
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  /** Tokens after which the sequence ends by itself; the maximum ends it in any case. */
  readonly outputTokens: number;
}

interface Track {
  readonly request: FakeRequest;
  generated: number;
  /** Next position the scheduler should ask for. */
  next: number;
  ended: boolean;
  readonly inFlight: Set<number>;
}

type Step = Extract<Action, { kind: 'step' }>;
type Move = Extract<Action, { kind: 'page_out' | 'page_in' }>;
type TierMove = Extract<Action, { kind: 'spill' | 'fetch' }>;

export interface Driver {
  readonly scheduler: Scheduler;
  readonly log: readonly Action[];
  readonly rejected: ReadonlyMap<number, string>;
  arrive(request: FakeRequest): void;
  cancel(sequence: number): void;
  /** Takes the scheduler's next actions and checks them. */
  poll(): readonly Action[];
  /** Actions that may complete now: steps of one stage and replica complete in order. */
  completable(): readonly Action[];
  complete(action: Action): void;
  /** Completes everything, choosing with `choose(count)`; throws when it takes too long. */
  drain(choose?: (count: number) => number): void;
  /** Tokens generated so far. */
  generated(sequence: number): number;
  hasEnded(sequence: number): boolean;
}

/** `fails` says whether a move to or from disk that completes now has failed. */
export function createDriver(
  config: SchedulerConfig,
  fails: (kind: TierMove['kind']) => boolean = () => false,
): Driver {
  const scheduler = createScheduler(config);
  const stageOf = new Map(config.stages.map((stage) => [stage.name, stage]));
  const tracks = new Map<number, Track>();
  const rejected = new Map<number, string>();
  const flying = new Map<number, Action>();
  const log: Action[] = [];
  const memory = new Map<string, string[]>();
  const resident = new Map<string, string>();
  const ids = new Set<number>();
  let restarts = 0;
  for (const name of config.flow) {
    const stage = stageOf.get(name)!;
    if (!resident.has(stage.group)) resident.set(stage.group, stage.residence);
  }

  const check = (holds: boolean, promise: string): void => {
    if (!holds) throw new Error(`promise broken: ${promise}`);
  };
  const cells = (place: string): string[] => {
    const found = memory.get(place) ?? Array.from({ length: config.pageTokens }, () => '');
    memory.set(place, found);
    return found;
  };
  const devicePlace = (pool: string, replica: number, page: number): string =>
    `${config.pools.find(({ id }) => id === pool)?.within ?? pool}/${replica}/${page}`;
  const stepPlaces = (step: Step, item: StepItem): string[] =>
    item.pages.map((page) => devicePlace(stageOf.get(step.stage)!.pool, step.replica, page));
  const movePlaces = (move: Move): { device: string[]; host: string[] } => ({
    device: move.pages.map((page) => devicePlace(move.pool, move.replica, page)),
    host: move.hostPages.map((page) => `host/${page}`),
  });
  const tierPlaces = (move: TierMove): { host: string[]; disk: string[] } => ({
    host: move.hostPages.map((page) => `host/${page}`),
    disk: move.diskPages.map((page) => `disk/${page}`),
  });
  const placesInUse = (): Map<string, number> => {
    const used = new Map<string, number>();
    for (const action of flying.values()) {
      if (action.kind === 'step') {
        for (const item of action.items)
          for (const place of stepPlaces(action, item)) used.set(place, item.sequence);
      } else if (action.kind === 'page_out' || action.kind === 'page_in') {
        const { device, host } = movePlaces(action);
        for (const place of [...device, ...host]) used.set(place, action.sequence);
      } else if (action.kind === 'spill' || action.kind === 'fetch') {
        const { host, disk } = tierPlaces(action);
        for (const place of [...host, ...disk]) used.set(place, action.sequence);
      }
    }
    return used;
  };
  const claim = (used: Map<string, number>, sequence: number, places: readonly string[]): void => {
    check(new Set(places).size === places.length, 'a page stands once in a table');
    for (const place of places) {
      const holder = used.get(place);
      check(holder === undefined || holder === sequence, `${place} is used by ${holder} and ${sequence}`);
      used.set(place, sequence);
    }
  };

  const checkItem = (step: Step, item: StepItem): void => {
    const track = tracks.get(item.sequence);
    check(track !== undefined && !track.ended, 'a step carries live sequences only');
    const { request, generated, inFlight } = track!;
    const known = request.promptTokens + generated;
    if (item.start === 0 && track!.next > 0) {
      check(inFlight.size === 0, 'a sequence in work is not started again');
      restarts++;
      const { preemptions, fetches, passedOver } = scheduler.state();
      const lost = preemptions.dropped + fetches.failed + passedOver.disk;
      check(restarts <= lost, 'only a sequence whose KV was lost starts again');
      track!.next = 0;
    }
    check(item.start === track!.next, `tokens come in order: ${item.start}, not ${track!.next}`);
    check(item.count > 0 && item.start + item.count <= known, 'rows are known tokens');
    check(item.sample === (item.start + item.count === known), 'the last known token is sampled, no other');
    check(item.pages.length * config.pageTokens >= item.start + item.count, 'pages cover the rows');
    for (const id of inFlight) {
      const other = flying.get(id);
      check(
        other?.kind === 'step' && other.stage === step.stage && other.replica === step.replica,
        'a sequence in two actions is in two chunks of one pipeline',
      );
    }
    const { phases } = stageOf.get(step.stage)!;
    const decodes = generated > 0 && item.start === known - 1 && item.count === 1;
    check(phases.includes('prefill') || decodes, 'a decode stage gets decode rows only');
    track!.next += item.count;
    inFlight.add(step.id);
  };

  const checkStep = (step: Step): void => {
    const stage = stageOf.get(step.stage)!;
    check(resident.get(stage.group) === stage.residence, `stage ${stage.name} is resident`);
    const tokens = step.items.reduce((sum, item) => sum + item.count, 0);
    check(tokens > 0 && tokens <= stage.maxTokens, 'a step keeps to maxTokens');
    check(step.items.length <= stage.maxSequences, 'a step keeps to maxSequences');
    check(
      new Set(step.items.map((item) => item.sequence)).size === step.items.length,
      'a sequence stands once in a step',
    );
    check(step.replica >= 0 && step.replica < stage.dp, 'the replica exists');
    const together = [...flying.values()].filter((other) => {
      if (other.kind !== 'step' || other.replica !== step.replica) return false;
      const otherStage = stageOf.get(other.stage)!;
      return otherStage.group === stage.group && otherStage.residence === stage.residence;
    });
    check(together.length < stage.depth, 'a pipeline keeps to its depth');
    const used = placesInUse();
    for (const item of step.items) {
      checkItem(step, item);
      claim(used, item.sequence, stepPlaces(step, item));
    }
  };

  const checkMove = (move: Move): void => {
    const track = tracks.get(move.sequence);
    check(track !== undefined && !track.ended, 'only live sequences move');
    check(track!.inFlight.size === 0, 'a sequence moves alone');
    check(move.tokens === track!.next, 'all computed tokens move');
    const pages = Math.ceil(move.tokens / config.pageTokens);
    check(move.pages.length === pages && move.hostPages.length === pages, 'a move is as long as its tokens');
    check(
      move.hostPages.every((page) => page >= 0 && page < config.hostPages),
      'host pages exist',
    );
    const { device, host } = movePlaces(move);
    claim(placesInUse(), move.sequence, [...device, ...host]);
    track!.inFlight.add(move.id);
  };

  const checkTierMove = (move: TierMove): void => {
    const track = tracks.get(move.sequence);
    check(track !== undefined && !track.ended, 'only live sequences move');
    check(track!.inFlight.size === 0, 'a sequence moves alone');
    const pages = Math.ceil(track!.next / config.pageTokens);
    check(move.hostPages.length === pages && move.diskPages.length === pages, 'all of a sequence moves');
    check(
      move.diskPages.every((page) => page >= 0 && page < config.diskPages),
      'disk pages exist',
    );
    const { host, disk } = tierPlaces(move);
    claim(placesInUse(), move.sequence, [...host, ...disk]);
    track!.inFlight.add(move.id);
  };

  const checkAction = (action: Action): void => {
    if (action.kind === 'reject') {
      rejected.set(action.sequence, action.why);
      return;
    }
    check(!ids.has(action.id), 'action ids are unique');
    ids.add(action.id);
    if (action.kind === 'step') checkStep(action);
    else if (action.kind === 'switch') {
      const stage = stageOf.get(action.to)!;
      check(stage.group === action.group, 'a switch stays in its group');
      check(
        resident.get(action.group) === stageOf.get(action.from)!.residence,
        'a switch leaves what is there',
      );
      check(stage.residence !== resident.get(action.group), 'a switch changes something');
      const busy = [...flying.values()].some(
        (other) => other.kind === 'step' && stageOf.get(other.stage)!.group === action.group,
      );
      if (config.transitions === 'barrier') check(!busy, 'a switch waits for the steps of its group');
      const switching = [...flying.values()].some(
        (other) => other.kind === 'switch' && other.group === action.group,
      );
      check(!switching, 'a group makes one switch at a time');
      // From here on a step of the old stage is one too many; with barriers, a step of any stage.
      resident.set(action.group, config.transitions === 'barrier' ? 'none' : stage.residence);
    } else if (action.kind === 'spill' || action.kind === 'fetch') checkTierMove(action);
    else checkMove(action);
    flying.set(action.id, action);
  };

  const completeStep = (step: Step): void => {
    const sampled: { sequence: number; finished: boolean }[] = [];
    for (const item of step.items) {
      const track = tracks.get(item.sequence)!;
      track.inFlight.delete(step.id);
      const places = stepPlaces(step, item);
      const cell = (position: number): [string[], number] => [
        cells(places[Math.floor(position / config.pageTokens)]!),
        position % config.pageTokens,
      ];
      for (let position = 0; position < item.start; position++) {
        const [page, slot] = cell(position);
        check(
          page[slot] === `${item.sequence}:${position}`,
          `token ${position} of ${item.sequence} is in place`,
        );
      }
      for (let position = item.start; position < item.start + item.count; position++) {
        const [page, slot] = cell(position);
        page[slot] = `${item.sequence}:${position}`;
      }
      if (!item.sample || track.ended) continue;
      track.generated++;
      const { outputTokens, maxNewTokens } = track.request;
      track.ended = track.generated >= Math.min(outputTokens, maxNewTokens);
      sampled.push({ sequence: item.sequence, finished: track.generated >= outputTokens });
    }
    scheduler.apply({ kind: 'step_done', id: step.id, sampled });
  };

  const completeMove = (move: Move): void => {
    const { device, host } = movePlaces(move);
    const [from, to] = move.kind === 'page_out' ? [device, host] : [host, device];
    for (let position = 0; position < move.tokens; position++) {
      const page = Math.floor(position / config.pageTokens);
      const value = cells(from[page]!)[position % config.pageTokens]!;
      check(value === `${move.sequence}:${position}`, `token ${position} of ${move.sequence} moves`);
    }
    from.forEach((place, i) => memory.set(to[i]!, [...cells(place)]));
    tracks.get(move.sequence)!.inFlight.delete(move.id);
    scheduler.apply({ kind: move.kind === 'page_out' ? 'page_out_done' : 'page_in_done', id: move.id });
  };

  const completeTierMove = (move: TierMove, failed: boolean): void => {
    const { host, disk } = tierPlaces(move);
    const [from, to] = move.kind === 'spill' ? [host, disk] : [disk, host];
    const { next, inFlight } = tracks.get(move.sequence)!;
    for (let position = 0; position < next; position++) {
      const value = cells(from[Math.floor(position / config.pageTokens)]!)[position % config.pageTokens]!;
      check(value === `${move.sequence}:${position}`, `token ${position} of ${move.sequence} is kept`);
    }
    from.forEach((place, i) => memory.set(to[i]!, failed ? ['garbage'] : [...cells(place)]));
    inFlight.delete(move.id);
    scheduler.apply({ kind: move.kind === 'spill' ? 'spill_done' : 'fetch_done', id: move.id, failed });
  };

  const poll = (): readonly Action[] => {
    const actions = scheduler.next();
    for (const action of actions) {
      checkAction(action);
      log.push(action);
    }
    const { running } = scheduler.state();
    const batch = config.stages.filter((stage) => stage.phases.includes('decode'));
    check(running <= batch.reduce((sum, stage) => sum + stage.batchRequests, 0), 'decode keeps to its batch');
    check(scheduler.next().length === 0, 'actions are returned once');
    return actions;
  };

  const completable = (): readonly Action[] => {
    const seen = new Set<string>();
    return [...flying.values()].filter((action) => {
      if (action.kind !== 'step') return true;
      const lane = `${action.stage}/${action.replica}`;
      const first = !seen.has(lane);
      seen.add(lane);
      return first;
    });
  };

  const complete = (action: Action): void => {
    if (action.kind === 'reject') throw new Error('a rejection is not answered');
    flying.delete(action.id);
    if (action.kind === 'step') completeStep(action);
    else if (action.kind === 'switch') {
      resident.set(action.group, stageOf.get(action.to)!.residence);
      scheduler.apply({ kind: 'switch_done', id: action.id });
    } else if (action.kind === 'spill' || action.kind === 'fetch')
      completeTierMove(action, fails(action.kind));
    else completeMove(action);
  };

  return {
    scheduler,
    log,
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
  };
}
