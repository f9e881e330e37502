/** What the scheduler promises of the actions it returns: each is checked when it is given out. */
import type { Scheduler } from '../../../runtime/scheduler/scheduler.js';
import type { SchedulerConfig, StepItem } from '../../../runtime/scheduler/types.js';
import type { KvMemory } from './kv-memory.js';
import { check } from './tracks.js';
import type { Announcement, Move, Step, TierMove, Track, Work } from './tracks.js';

export interface Promises {
  /** Throws where a promise is broken; from then on the action is under way. */
  checkAction(action: Exclude<Work, { kind: 'reject' }>): void;
  checkAnnouncement(action: Announcement): void;
  /** Throws where the sequences at work hold more pages than they may. */
  checkRoom(): void;
  /** A switch is done: its stage is there. */
  settle(group: string, stage: string): void;
  /** Tokens that were passed over because others had computed them. */
  reused(): number;
}

export function createPromises(
  config: SchedulerConfig,
  scheduler: Scheduler,
  memory: KvMemory,
  tracks: ReadonlyMap<number, Track>,
  flying: ReadonlyMap<number, Work>,
): Promises {
  const { pageTokens, window = Infinity } = config;
  /** The first position that a row sees. */
  const firstSeen = (position: number): number => Math.max(0, position + 1 - window);
  const stageOf = new Map(config.stages.map((stage) => [stage.name, stage]));
  const ids = new Set<number>();
  /** Residence by group; `none` during a switch with barriers. */
  const resident = new Map<string, string>();
  /** Residence that a group was told to prepare for since its last switch. */
  const expected = new Map<string, string>();
  let restarts = 0;
  let reused = 0;
  for (const name of config.flow) {
    const stage = stageOf.get(name)!;
    if (!resident.has(stage.group)) resident.set(stage.group, stage.residence);
  }

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
    if (item.start < track!.next) startAgain(track!);
    if (item.start !== track!.next) {
      const copied = item.copyOf === undefined ? 0 : item.start % pageTokens;
      const pages = (item.start - copied) / pageTokens;
      check(pages <= (request.pageKeys?.length ?? 0), 'full pages of a prompt alone are passed over');
      check(Number.isInteger(pages), 'what is passed over is whole pages, and what a copy holds');
      reused += item.start - track!.next;
      track!.next = item.start;
    }
    if (item.copyOf !== undefined) check(item.start <= request.promptTokens, 'a part of a prompt is copied');
    check(item.start === track!.next, `tokens come in order: ${item.start}, not ${track!.next}`);
    check(item.count > 0 && item.start + item.count <= known, 'rows are known tokens');
    check(item.sample === (item.start + item.count === known), 'the last known token is sampled, no other');
    const { firstPage, pages } = item;
    check((firstPage + pages.length) * pageTokens >= item.start + item.count, 'pages cover the rows');
    check(firstPage * pageTokens <= firstSeen(item.start), 'pages cover what the rows see');
    check(
      pages.every((page) => page >= 0),
      'pages are held',
    );
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
    const used = memory.placesInUse();
    for (const item of step.items) {
      checkItem(step, item);
      memory.claimRow(used, step, item);
    }
    for (const item of step.items) memory.claimCopy(step, item);
  };

  /** What has no key moves in any case. */
  const checkPositions = (
    { sequence, positions }: Move | TierMove,
    ends: readonly (readonly number[])[],
  ): void => {
    const { request, next } = tracks.get(sequence)!;
    const pages = Math.ceil(next / pageTokens);
    check(
      ends.every((pages) => pages.length === positions.length),
      'a move has two ends',
    );
    const shareable = request.pageKeys?.length ?? 0;
    check(
      positions.every((position) => position < Math.max(pages, shareable)),
      'computed pages move',
    );
    const seen = Math.floor(firstSeen(next) / pageTokens);
    for (let position = Math.max(shareable, seen); position < pages; position++)
      check(positions.includes(position), 'what nobody shares moves');
    check(
      positions.every((position) => position >= seen),
      'what no row sees stays',
    );
  };

  const checkMove = (move: Move | TierMove): void => {
    const track = tracks.get(move.sequence);
    check(track !== undefined && !track.ended, 'only live sequences move');
    check(track!.inFlight.size === 0, 'a sequence moves alone');
    const exist = (pages: readonly number[], total: number): boolean =>
      pages.every((page) => page >= 0 && page < total);
    check(exist(move.hostPages, config.hostPages), 'host pages exist');
    const last = Math.ceil(track!.next / pageTokens) - 1;
    const isShared = last < (track!.request.pageKeys?.length ?? 0);
    const seen = firstSeen(track!.next);
    const isLacking = (last + 1) * pageTokens > seen && !isShared && !move.positions.includes(last);
    const isLost = isLacking || move.positions.some((position) => (position + 1) * pageTokens <= seen);
    // Prefill begins once more, with what others have computed.
    if ((move.kind === 'page_in' || move.kind === 'fetch') && isLost) startAgain(track!);
    if (move.kind === 'spill' || move.kind === 'fetch') {
      check(exist(move.diskPages, config.diskPages), 'disk pages exist');
      checkPositions(move, [move.hostPages, move.diskPages]);
    } else {
      checkPositions(move, [move.pages, move.hostPages]);
    }
    memory.claimMove(move);
    track!.inFlight.add(move.id);
  };

  const isSwitching = (group: string): boolean =>
    [...flying.values()].some((other) => other.kind === 'switch' && other.group === group);

  const checkSwitch = ({ group, from, to }: Extract<Work, { kind: 'switch' }>): void => {
    const stage = stageOf.get(to)!;
    check(stage.group === group, 'a switch stays in its group');
    check(resident.get(group) === stageOf.get(from)!.residence, 'a switch leaves what is there');
    check(stage.residence !== resident.get(group), 'a switch changes something');
    const busy = [...flying.values()].some(
      (other) => other.kind === 'step' && stageOf.get(other.stage)!.group === group,
    );
    if (config.transitions === 'barrier') check(!busy, 'a switch waits for the steps of its group');
    check(!isSwitching(group), 'a group makes one switch at a time');
    const told = expected.get(group);
    check(told === undefined || told === stage.residence, 'a group switches to what was announced');
    expected.delete(group);
    // From here on a step of the old stage is one too many; with barriers, a step of any stage.
    resident.set(group, config.transitions === 'barrier' ? 'none' : stage.residence);
  };

  /** The most pages that a sequence may hold at once where so many rows of it are in work. */
  const mostPages = ({ promptTokens, maxNewTokens }: Track['request'], rows: number): number => {
    const all = Math.ceil((promptTokens + maxNewTokens - 1) / pageTokens);
    // Between the first position that the first of the rows sees and the last row lie so many others.
    const between = window + rows - 2;
    return Math.min(all, Math.ceil(between / pageTokens) + 1);
  };

  return {
    checkRoom() {
      const atWork = [...tracks.values()].filter(({ ended, inFlight }) => !ended || inFlight.size > 0);
      const copied = [...flying.values()].flatMap((action) =>
        action.kind === 'step' ? action.items.filter(({ copyOf }) => copyOf !== undefined) : [],
      ).length;
      const most = (rows: number): number =>
        atWork.reduce((sum, { request }) => sum + mostPages(request, rows), 0);
      const { pools, host } = scheduler.state();
      for (const { pool: id, pages, free } of pools) {
        if (config.pools.some(({ within }) => within !== undefined)) continue;
        const rows = config.stages
          .filter(({ pool }) => pool === id)
          .map(({ phases, maxTokens, depth }) => (phases.includes('prefill') ? maxTokens * depth : 1));
        check(
          pages - free <= most(Math.max(...rows)) + copied,
          'pages are held for a window and rows in work',
        );
      }
      // What a prompt came with, and what it hands over.
      check(host.pages - host.free <= 2 * most(1), 'the host tier holds windows');
      check(host.filled <= host.pages - host.free, 'host pages are claimed before they are filled');
      const filling = [...flying.values()].flatMap((action) =>
        action.kind === 'page_out' || action.kind === 'fetch' ? action.hostPages : [],
      );
      check(new Set(filling).size <= host.filled, 'what is on its way counts');
    },
    checkAction(action) {
      check(!ids.has(action.id), 'action ids are unique');
      ids.add(action.id);
      if (action.kind === 'step') checkStep(action);
      else if (action.kind === 'switch') checkSwitch(action);
      else checkMove(action);
    },
    checkAnnouncement({ group, from, to }) {
      const [old, next] = [stageOf.get(from)!, stageOf.get(to)!];
      check(config.transitions === 'dataflow', 'with barriers nothing is announced');
      check(old.group === group && next.group === group, 'an announcement is about one group');
      check(resident.get(group) === old.residence, 'what is there is to be left');
      check(next.residence !== old.residence, 'a switch that is announced changes something');
      check(!expected.has(group), 'a switch is announced once');
      check(!isSwitching(group), 'a switch is announced when the last one is done');
      expected.set(group, next.residence);
    },
    settle(group, stage) {
      resident.set(group, stageOf.get(stage)!.residence);
    },
    reused: () => reused,
  };
}
