/**
 * A fake executor: it completes actions in any order, keeps a simulated KV memory, and throws as soon as the
 * scheduler breaks one of its promises.
 *
 * Every page cell holds the token written to it as `sequence:position`, or as `key:position` in full pages of prompts
 * that have keys. A step must find all tokens before its rows; moves copy cells when they are done. A page given to two
 * sequences that do not share it, freed too early, read before it was written or moved to the wrong place shows up as a
 * wrong cell.
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
  /** Of the full pages of the prompt. */
  readonly pageKeys?: readonly string[];
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
type Announcement = Extract<Action, { kind: 'prepare' }>;
/** What `poll` returns: announcements are checked and kept apart. */
type Work = Exclude<Action, Announcement>;

/** By place. */
type PlacesInUse = Map<string, { readonly content: string; readonly users: Set<number> }>;

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
  const scheduler = createScheduler(config);
  const stageOf = new Map(config.stages.map((stage) => [stage.name, stage]));
  const tracks = new Map<number, Track>();
  const rejected = new Map<number, string>();
  const flying = new Map<number, Work>();
  const log: Work[] = [];
  const announced: { readonly action: Announcement; readonly at: number }[] = [];
  /** Residence that a group was told to prepare for since its last switch. */
  const expected = new Map<string, string>();
  const memory = new Map<string, string[]>();
  const resident = new Map<string, string>();
  const ids = new Set<number>();
  let restarts = 0;
  let reused = 0;
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
  /** What the page at a position of a sequence holds: the same for all that may share it. */
  const contentAt = (sequence: number, position: number): string =>
    tracks.get(sequence)!.request.pageKeys?.[position] ?? `${sequence}`;
  const cellAt = (sequence: number, token: number): string =>
    `${contentAt(sequence, Math.floor(token / config.pageTokens))}:${token}`;
  /** Places of actions under way, with what each is used for and by whom. */
  const placesInUse = (): PlacesInUse => {
    const used: PlacesInUse = new Map();
    for (const action of flying.values()) {
      if (action.kind === 'step') {
        for (const item of action.items)
          claim(used, item.sequence, stepPlaces(action, item), [...item.pages.keys()]);
      } else if (action.kind === 'page_out' || action.kind === 'page_in') {
        const { device, host } = movePlaces(action);
        for (const places of [device, host]) claim(used, action.sequence, places, action.positions);
      } else if (action.kind === 'spill' || action.kind === 'fetch') {
        const { host, disk } = tierPlaces(action);
        for (const places of [host, disk]) claim(used, action.sequence, places, action.positions);
      }
    }
    return used;
  };
  const claim = (
    used: PlacesInUse,
    sequence: number,
    places: readonly string[],
    positions: readonly number[],
  ): void => {
    check(new Set(places).size === places.length, 'a page stands once in a table');
    places.forEach((place, i) => {
      const content = contentAt(sequence, positions[i]!);
      const use = used.get(place) ?? { content, users: new Set<number>() };
      check(use.content === content, `${place} is used for ${use.content} and ${content}`);
      use.users.add(sequence);
      used.set(place, use);
    });
  };
  /** Places that are written must be in use by nobody else, be it for the same content. */
  const claimToWrite = (used: PlacesInUse, sequence: number, places: readonly string[]): void => {
    for (const place of places)
      for (const user of used.get(place)?.users ?? [])
        check(user === sequence, `${place} is written by ${sequence} while ${user} uses it`);
  };

  const startAgain = (track: Track): void => {
    check(track.inFlight.size === 0, 'a sequence in work is not started again');
    restarts++;
    const { preemptions, fetches, passedOver } = scheduler.state();
    const lost = preemptions.dropped + fetches.failed + passedOver.disk;
    check(restarts <= lost, 'only a sequence whose KV was lost starts again');
    track.next = 0;
  };

  const checkItem = (step: Step, item: StepItem): void => {
    const track = tracks.get(item.sequence);
    check(track !== undefined && !track.ended, 'a step carries live sequences only');
    const { request, generated, inFlight } = track!;
    const known = request.promptTokens + generated;
    const { pageTokens } = config;
    if (item.start < track!.next) startAgain(track!);
    if (item.start !== track!.next) {
      const pages = item.start / pageTokens;
      check(pages <= (request.pageKeys?.length ?? 0), 'full pages of a prompt alone are passed over');
      check(Number.isInteger(pages), 'whole pages are passed over');
      reused += item.start - track!.next;
      track!.next = item.start;
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
      const places = stepPlaces(step, item);
      claimToWrite(used, item.sequence, places.slice(Math.floor(item.start / config.pageTokens)));
      claim(used, item.sequence, places, [...places.keys()]);
    }
  };

  /** What has no key moves in any case. */
  const checkPositions = (
    { sequence, positions }: Move | TierMove,
    ends: readonly (readonly number[])[],
  ): void => {
    const { request, next } = tracks.get(sequence)!;
    const pages = Math.ceil(next / config.pageTokens);
    check(
      ends.every((pages) => pages.length === positions.length),
      'a move has two ends',
    );
    const shareable = request.pageKeys?.length ?? 0;
    check(
      positions.every((position) => position < Math.max(pages, shareable)),
      'computed pages move',
    );
    for (let position = shareable; position < pages; position++)
      check(positions.includes(position), 'what nobody shares moves');
  };

  const checkMove = (move: Move): void => {
    const track = tracks.get(move.sequence);
    check(track !== undefined && !track.ended, 'only live sequences move');
    check(track!.inFlight.size === 0, 'a sequence moves alone');
    const last = Math.ceil(track!.next / config.pageTokens) - 1;
    const isLost = last >= (track!.request.pageKeys?.length ?? 0) && !move.positions.includes(last);
    // Prefill begins once more, with what others have computed.
    if (move.kind === 'page_in' && isLost) startAgain(track!);
    checkPositions(move, [move.pages, move.hostPages]);
    check(
      move.hostPages.every((page) => page >= 0 && page < config.hostPages),
      'host pages exist',
    );
    const { device, host } = movePlaces(move);
    const used = placesInUse();
    claimToWrite(used, move.sequence, move.kind === 'page_out' ? host : device);
    for (const places of [device, host]) claim(used, move.sequence, places, move.positions);
    track!.inFlight.add(move.id);
  };

  const checkTierMove = (move: TierMove): void => {
    const track = tracks.get(move.sequence);
    check(track !== undefined && !track.ended, 'only live sequences move');
    check(track!.inFlight.size === 0, 'a sequence moves alone');
    checkPositions(move, [move.hostPages, move.diskPages]);
    check(
      move.diskPages.every((page) => page >= 0 && page < config.diskPages),
      'disk pages exist',
    );
    const { host, disk } = tierPlaces(move);
    const used = placesInUse();
    claimToWrite(used, move.sequence, move.kind === 'spill' ? disk : host);
    for (const places of [host, disk]) claim(used, move.sequence, places, move.positions);
    track!.inFlight.add(move.id);
  };

  const checkAnnouncement = ({ group, from, to }: Announcement): void => {
    const [old, next] = [stageOf.get(from)!, stageOf.get(to)!];
    check(config.transitions === 'dataflow', 'with barriers nothing is announced');
    check(old.group === group && next.group === group, 'an announcement is about one group');
    check(resident.get(group) === old.residence, 'what is there is to be left');
    check(next.residence !== old.residence, 'a switch that is announced changes something');
    check(!expected.has(group), 'a switch is announced once');
    const switching = [...flying.values()].some((other) => other.kind === 'switch' && other.group === group);
    check(!switching, 'a switch is announced when the last one is done');
    expected.set(group, next.residence);
  };

  const checkAction = (action: Work): void => {
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
      const told = expected.get(action.group);
      check(told === undefined || told === stage.residence, 'a group switches to what was announced');
      expected.delete(action.group);
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
          page[slot] === cellAt(item.sequence, position),
          `token ${position} of ${item.sequence} is in place`,
        );
      }
      for (let position = item.start; position < item.start + item.count; position++) {
        const [page, slot] = cell(position);
        page[slot] = cellAt(item.sequence, position);
      }
      if (!item.sample || track.ended) continue;
      track.generated++;
      const { outputTokens, maxNewTokens } = track.request;
      track.ended = track.generated >= Math.min(outputTokens, maxNewTokens);
      sampled.push({ sequence: item.sequence, finished: track.generated >= outputTokens });
    }
    scheduler.apply({ kind: 'step_done', id: step.id, sampled });
  };

  const checkCells = ({ sequence, positions }: Move | TierMove, from: readonly string[]): void => {
    const { pageTokens } = config;
    const { next } = tracks.get(sequence)!;
    positions.forEach((position, i) => {
      const first = position * pageTokens;
      // What others have computed, if not the sequence itself.
      const end = first < next ? Math.min(first + pageTokens, next) : first + pageTokens;
      for (let token = first; token < end; token++) {
        const cell = cells(from[i]!)[token % pageTokens];
        check(cell === cellAt(sequence, token), `token ${token} of ${sequence} moves`);
      }
    });
  };

  const completeMove = (move: Move): void => {
    const { device, host } = movePlaces(move);
    const [from, to] = move.kind === 'page_out' ? [device, host] : [host, device];
    checkCells(move, from);
    from.forEach((place, i) => memory.set(to[i]!, [...cells(place)]));
    tracks.get(move.sequence)!.inFlight.delete(move.id);
    scheduler.apply({ kind: move.kind === 'page_out' ? 'page_out_done' : 'page_in_done', id: move.id });
  };

  const completeTierMove = (move: TierMove, failed: boolean): void => {
    const { host, disk } = tierPlaces(move);
    const [from, to] = move.kind === 'spill' ? [host, disk] : [disk, host];
    checkCells(move, from);
    from.forEach((place, i) => memory.set(to[i]!, failed ? ['garbage'] : [...cells(place)]));
    tracks.get(move.sequence)!.inFlight.delete(move.id);
    scheduler.apply({ kind: move.kind === 'spill' ? 'spill_done' : 'fetch_done', id: move.id, failed });
  };

  const poll = (): readonly Work[] => {
    const actions: Work[] = [];
    for (const action of scheduler.next()) {
      if (action.kind === 'prepare') {
        checkAnnouncement(action);
        announced.push({ action, at: log.length });
        continue;
      }
      checkAction(action);
      log.push(action);
      actions.push(action);
    }
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
      resident.set(action.group, stageOf.get(action.to)!.residence);
      scheduler.apply({ kind: 'switch_done', id: action.id });
    } else if (action.kind === 'spill' || action.kind === 'fetch')
      completeTierMove(action, fails(action.kind));
    else completeMove(action);
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
    reused: () => reused,
  };
}
