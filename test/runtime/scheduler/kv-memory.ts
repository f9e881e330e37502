/**
 * A simulated KV memory: what every page holds, and which pages actions under way use.
 *
 * Every page cell holds the token written to it as `sequence:position`, or as `token:position` where the tokens of the
 * prompt are known. A page given to two sequences that do not share it, freed too early, read before it was written or
 * moved to the wrong place shows up as a wrong cell, or as a place with two uses.
 */
import type { Action, SchedulerConfig, StepItem } from '../../../runtime/scheduler/types.js';
import { check } from './tracks.js';
import type { Move, Step, TierMove, Track, Work } from './tracks.js';

/** By place. */
type PlacesInUse = Map<string, { readonly content: string; readonly users: Set<number> }>;

/** Where a move reads and where it writes, page by page. */
interface Ends {
  readonly from: readonly string[];
  readonly to: readonly string[];
}

export interface KvMemory {
  /** Checks that the pages of a row of a step may be read, and those it fills be written. `used`: of other rows too. */
  claimRow(used: PlacesInUse, step: Step, item: StepItem): void;
  /** Checks that the page a row copies holds still until the step is done, and that no other row of the step fills it. */
  claimCopy(step: Step, item: StepItem): void;
  /** Checks that both ends of a move may be used as they will be. */
  claimMove(move: Move | TierMove): void;
  /** What actions under way use. */
  placesInUse(): PlacesInUse;
  /** Copies the pages that rows of a step begin with. */
  copyPages(step: Step): void;
  /** Writes the tokens of a row that is done, and checks that those before it are in place. */
  writeRow(step: Step, item: StepItem): void;
  /** Copies what a move has moved, once it is checked; `failed`: it arrives as garbage. */
  copy(move: Move | TierMove, failed: boolean): void;
}

export function createKvMemory(
  config: SchedulerConfig,
  tracks: ReadonlyMap<number, Track>,
  flying: ReadonlyMap<number, Work>,
): KvMemory {
  const memory = new Map<string, string[]>();
  const { pageTokens, window = Infinity } = config;
  const firstSeen = (position: number): number => Math.max(0, position + 1 - window);
  const stageOf = new Map(config.stages.map((stage) => [stage.name, stage]));
  const cells = (place: string): string[] => {
    const found = memory.get(place) ?? Array.from({ length: pageTokens }, () => '');
    memory.set(place, found);
    return found;
  };
  const devicePlace = (pool: string, replica: number, page: number): string =>
    `${config.pools.find(({ id }) => id === pool)?.within ?? pool}/${replica}/${page}`;
  const stepPlaces = (step: Step, item: StepItem): string[] =>
    item.pages.map((page) => devicePlace(stageOf.get(step.stage)!.pool, step.replica, page));
  const positionsOf = ({ pages, firstPage }: StepItem): number[] => pages.map((_, i) => firstPage + i);
  /** Where among the pages of a row the token at a position is. */
  const pageIndex = ({ firstPage }: StepItem, token: number): number =>
    Math.floor(token / pageTokens) - firstPage;
  const endsOf = (move: Move | TierMove): Ends => {
    const host = move.hostPages.map((page) => `host/${page}`);
    switch (move.kind) {
      case 'page_out':
      case 'page_in': {
        const device = move.pages.map((page) => devicePlace(move.pool, move.replica, page));
        return move.kind === 'page_out' ? { from: device, to: host } : { from: host, to: device };
      }
      case 'spill':
      case 'fetch': {
        const disk = move.diskPages.map((page) => `disk/${page}`);
        return move.kind === 'spill' ? { from: host, to: disk } : { from: disk, to: host };
      }
    }
  };
  /** What the page at a position of a sequence holds: the same for all that may share it. */
  const contentAt = (sequence: number, position: number): string =>
    tracks.get(sequence)!.request.pageKeys?.[position] ?? `${sequence}`;
  const cellAt = (sequence: number, token: number): string => {
    const id = tracks.get(sequence)!.request.promptIds?.[token];
    return `${id ?? contentAt(sequence, Math.floor(token / pageTokens))}:${token}`;
  };
  const sourceOf = (step: Step, { copyOf }: StepItem): string | undefined =>
    copyOf === undefined ? undefined : devicePlace(stageOf.get(step.stage)!.pool, step.replica, copyOf);
  const flyingSteps = (): Step[] =>
    [...flying.values()].filter((action): action is Step => action.kind === 'step');
  /** Slots of a page that a row writes: the first of them, or none. */
  const firstWritten = (step: Step, item: StepItem, place: string): number => {
    const index = stepPlaces(step, item).indexOf(place);
    const { start, count } = item;
    const position = index + item.firstPage;
    if (index < 0 || start + count <= position * pageTokens) return Infinity;
    return Math.max(0, start - position * pageTokens);
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
  const claimEnds = (used: PlacesInUse, move: Move | TierMove): void => {
    const { from, to } = endsOf(move);
    for (const places of [from, to]) claim(used, move.sequence, places, move.positions);
  };
  const checkHeldStill = (place: string, isWritten: (slots: number) => boolean): void => {
    for (const step of flyingSteps())
      for (const item of step.items)
        check(
          sourceOf(step, item) !== place || !isWritten(item.start % pageTokens),
          `${place} is written to before it is copied`,
        );
  };
  const placesInUse = (): PlacesInUse => {
    const used: PlacesInUse = new Map();
    for (const action of flying.values()) {
      if (action.kind === 'step')
        for (const item of action.items)
          claim(used, item.sequence, stepPlaces(action, item), positionsOf(item));
      else if (isMove(action)) claimEnds(used, action);
    }
    return used;
  };
  const checkCells = ({ sequence, positions }: Move | TierMove, from: readonly string[]): void => {
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
  return {
    placesInUse,
    claimRow(used, step, item) {
      const places = stepPlaces(step, item);
      claimToWrite(used, item.sequence, places.slice(pageIndex(item, item.start)));
      claim(used, item.sequence, places, positionsOf(item));
      for (const place of places) checkHeldStill(place, (slots) => firstWritten(step, item, place) < slots);
    },
    claimCopy(step, item) {
      const place = sourceOf(step, item);
      if (place === undefined) return;
      const slots = item.start % pageTokens;
      check(slots > 0, 'a copy is of some use');
      check(!stepPlaces(step, item).includes(place), 'a page is not copied to itself');
      for (const other of step.items)
        check(firstWritten(step, other, place) >= slots, 'a step copies nothing that it writes');
      for (const other of flyingSteps())
        for (const row of other.items)
          check(
            firstWritten(other, row, place) >= slots ||
              (other.stage === step.stage && other.replica === step.replica),
            'what is copied is written by steps before it',
          );
      for (const action of flying.values())
        check(!isMove(action) || !endsOf(action).to.includes(place), 'what is copied is there');
    },
    claimMove(move) {
      const used = placesInUse();
      claimToWrite(used, move.sequence, endsOf(move).to);
      for (const place of endsOf(move).to) checkHeldStill(place, () => true);
      claimEnds(used, move);
    },
    copyPages(step) {
      for (const item of step.items) {
        const from = sourceOf(step, item);
        const to = stepPlaces(step, item)[pageIndex(item, item.start)]!;
        if (from !== undefined) memory.set(to, [...cells(from)]);
      }
    },
    writeRow(step, item) {
      const { sequence, start, count } = item;
      const places = stepPlaces(step, item);
      for (let position = firstSeen(start); position < start + count; position++) {
        const page = cells(places[pageIndex(item, position)]!);
        const slot = position % pageTokens;
        if (position >= start) page[slot] = cellAt(sequence, position);
        check(page[slot] === cellAt(sequence, position), `token ${position} of ${sequence} is in place`);
      }
    },
    copy(move, failed) {
      const { from, to } = endsOf(move);
      checkCells(move, from);
      from.forEach((place, i) => memory.set(to[i]!, failed ? ['garbage'] : [...cells(place)]));
    },
  };
}

function isMove(action: Action): action is Move | TierMove {
  return ['page_out', 'page_in', 'spill', 'fetch'].includes(action.kind);
}
