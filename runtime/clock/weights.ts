/**
 * Transitions on the clock: the moves of every device, in the order in which the executor makes them, over the lanes of the
 * declared links. What is written in place of old weights waits until the steps given out before are past them. A weight is
 * usable once its last piece is there, with the slot that it is in (`slot-ends.ts`), while others still move. Kernels of the
 * new stage hold up what comes behind them (`upload-course.ts`).
 *
 * From when a transition is announced, and from its beginning at the latest, a device brings near what it may not write yet,
 * in order and as far as the ring of staging slots has room. What it copies takes part in the ring as well, so that no more
 * than the room of either is passed. What is staged then goes to its place by a copy on the device, and the rest is uploaded.
 */
import type { RuntimeGraph, RuntimeRank, RuntimeTransition } from '../../compiler/ir/runtime-graph.js';
import { once } from '../../compiler/once.js';
import { kvBesideCopy } from '../../compiler/passes/host-room.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { Road } from '../../compiler/reshard/roads.js';
import { weightSources } from '../../compiler/reshard/weight-source.js';
import { bytesPerElement, type WeightType } from '../../compiler/model/weight-types.js';
import type { Lanes, Transfer } from './lanes.js';
import { slotEnds, type SlotEnd } from './slot-ends.js';
import type { StagingRoom } from './staging-room.js';
import {
  createUploadCourse,
  type UploadCourse,
  type UploadedWeights,
  type UploadPoint,
} from './upload-course.js';
import type { VirtualClock } from './virtual-clock.js';
import {
  broughtIn,
  reloadedWeights,
  writtenWeights,
  type Portion,
  type WrittenWeights,
} from './written-weights.js';

/** A portion of weights on its way to a device, from `start` to `end` seconds. */
export interface PortionSpan {
  readonly layer: number | undefined;
  readonly start: number;
  readonly end: number;
  readonly bytes: number;
}

/** The moves of a device, all of which have begun. */
export interface BegunMoves {
  /** When its weights are there. */
  readonly course: UploadCourse;
  /**
   * By index of an op in the new stage's program: the index of the last weight that it reads, in the order in which
   * weights are written. The op may run once that one is there.
   */
  readonly needs: ReadonlyMap<number, number>;
  /** What moved when, with the delays by what held it up. */
  readonly spans: () => readonly PortionSpan[];
}

/** The moves of a transition. */
export interface ClockTransition {
  /** Bytes moved onto devices, copies inside them not counted. */
  readonly bytes: number;
  /**
   * Exchanges of old steps that some weight waits for, each by the number of exchanges before it, as `open` counts
   * them.
   */
  readonly gates: ReadonlySet<number>;
  /** Brings near (stages) what a device will upload, from now on until its moves have begun. */
  readonly prepare: (device: number) => void;
  /**
   * Whether all that the device has yet to bring in is near (staged): it is then given to the device at once, behind
   * whatever that has.
   */
  readonly isNear: (device: number) => boolean;
  /**
   * Old steps have done on a device what comes before so many exchanges and one more: moves what waits for nothing else.
   * Returns whether nothing that the device writes waits for old steps any more.
   */
  readonly open: (device: number, exchanges: number) => boolean;
  /** Moves all the rest. */
  readonly begin: (device: number) => BegunMoves;
}

/** What moves of weights share with everything else on the clock. */
export interface MoveContext {
  readonly lanes: Lanes;
  readonly clock: VirtualClock;
  readonly room: (device: number) => StagingRoom;
  /** Copies run beside kernels: no slot waits for any. */
  readonly copyEngines: boolean;
  /** Every weight of the next stage is loaded from the host, none of them ahead. */
  readonly fullReload: boolean;
  /** Told when what a device brings near is on its way. */
  readonly onStaged: (device: number, span: Pick<Transfer, 'start' | 'end'>, bytes: number) => void;
}

/** What a device has to move in a transition, and the roads for it. */
interface DeviceTask {
  readonly written: WrittenWeights;
  readonly own: Road | undefined;
  readonly source: Road | undefined;
  readonly peers: readonly (Road | undefined)[];
}

/** Moves of a device under way. */
interface Bringing {
  readonly task: DeviceTask;
  /** Bytes of each portion's upload that are staged, and when the last of them is there. */
  readonly staged: Map<number, { readonly bytes: number; readonly end: number }>;
  /** How many portions are moved, or on their way to their places. */
  opened: number;
  /** Index of the first portion that is not staged whole. */
  next: number;
  /** Bytes that the ring has room for: of uploads. */
  uploads: number;
  /** And of copies within the device. */
  copies: number;
  /** Something is being staged. */
  isStaging: boolean;
  /** Bytes that are staged or uploaded. */
  reached: number;
  /** Those of these bytes that are on their way to their places, or there. */
  uploaded: number;
  /** When the last of those is there. */
  last: number;
  readonly spans: PortionSpan[];
  /** Times, and bytes that are brought in by then, at points before, between and behind portions. */
  readonly progress: { readonly times: number[]; readonly bytes: number[] };
  /** By portion, the index of the point behind it. */
  readonly ends: number[];
}

/** Plans the transition between two stages of a graph; it can be made any number of times. */
export function clockTransition(
  graph: RuntimeGraph,
  plan: Plan,
  transition: RuntimeTransition,
  { lanes, clock, room, copyEngines, fullReload, onStaged }: MoveContext,
): ClockTransition {
  const stages = [transition.from, transition.to].map((stage) =>
    graph.stages.find(({ name }) => name === stage)!,
  );
  const [from, to] = stages as [RuntimeGraph['stages'][number], RuntimeGraph['stages'][number]];
  const rankOn = stages.map(({ ranks }) => new Map(ranks.map((rank) => [rank.device, rank])));
  const path = (device: number): string => plan.topology.devices[device]!.path;
  const size = { modelBytes: modelBytes(stages), kvBytes: kvBesideCopy(plan) };
  const sourceOf = weightSources(lanes.roads, size);
  const known = new Map<string, WrittenWeights>();
  const writtenOn = (index: number, old: RuntimeRank, rank: RuntimeRank): WrittenWeights => {
    const [shard, program] = [to.shards[rank.shard]!, to.programs[rank.program]!];
    return fullReload
      ? reloadedWeights(shard, program)
      : writtenWeights(shard, transition.moves[index]!, program, from.programs[old.program]!);
  };
  const tasks = new Map(
    transition.devices.map(({ device, moves, peers }): [number, DeviceTask] => {
      const [old, rank] = rankOn.map((ranks) => ranks.get(device)!) as [RuntimeRank, RuntimeRank];
      const key = `${moves} ${old.program} ${rank.shard} ${rank.program}`;
      const written = known.get(key) ?? writtenOn(moves, old, rank);
      known.set(key, written);
      const own = lanes.roads.between(path(device), path(device));
      const receives = peers.map((peer) => lanes.roads.betweenDevices(peer, device));
      return [device, { written, own, source: sourceOf(device), peers: receives }];
    }),
  );
  const gates = [...known.values()].flatMap(({ portions }) => portions.map(({ behind }) => behind));
  const slotsOf = once(({ weights }: WrittenWeights) => once((slot: number) => slotEnds(weights, slot)));
  const under = new Map<number, Bringing>();
  const bringing = (device: number): Bringing => {
    const known = under.get(device);
    if (known !== undefined) return known;
    const { ahead } = room(device);
    const state: Bringing = {
      task: tasks.get(device)!,
      staged: new Map(),
      opened: 0,
      next: 0,
      uploads: ahead,
      copies: ahead,
      isStaging: false,
      reached: 0,
      uploaded: 0,
      last: 0,
      spans: [],
      progress: { times: [], bytes: [] },
      ends: [],
    };
    under.set(device, state);
    return state;
  };
  /** Stages as much as there is room for, portion by portion. */
  const stage = (device: number, state: Bringing): void => {
    const { task, staged } = state;
    state.isStaging = false;
    if (under.get(device) !== state || task.source === undefined || fullReload) return;
    const { portions } = task.written;
    for (state.next = Math.max(state.next, state.opened); state.next < portions.length; state.next++) {
      const { start, upload, copy } = portions[state.next]!;
      const before = staged.get(state.next);
      const there = before?.bytes ?? 0;
      const bytes = Math.min(upload - there, state.uploads);
      if (bytes === 0 && upload > there) return;
      if (before === undefined) {
        if (copy > state.copies) return;
        state.copies -= copy;
      }
      const { start: leaves, end } = lanes.transfer(task.source, bytes, clock.now(), 'weights');
      staged.set(state.next, { bytes: there + bytes, end });
      state.uploads -= bytes;
      state.reached = Math.max(state.reached, start + there + bytes);
      if (bytes === 0) continue;
      onStaged(device, { start: leaves, end }, bytes);
      state.isStaging = true;
      clock.at(end, () => stage(device, state));
      return;
    }
  };
  /** Moves all portions before one of them that are not moved yet. */
  const openTo = (state: Bringing, end: number): void => {
    const at = clock.now();
    const { task, staged, progress, ends, spans } = state;
    const { portions } = task.written;
    state.last = Math.max(state.last, at);
    const note = (): number => {
      progress.times.push(state.last);
      return progress.bytes.push(state.reached) - 1;
    };
    note();
    for (; state.opened < end; state.opened++) {
      const portion = portions[state.opened]!;
      const near = staged.get(state.opened);
      const arrived = movePortion(portion, task, near ?? { bytes: 0, end: at }, at);
      spans.push(arrived);
      state.uploaded += portion.upload;
      state.last = Math.max(state.last, arrived.end);
      state.reached = Math.max(state.reached, state.uploaded);
      ends.push(note());
      if (near === undefined) continue;
      state.uploads += near.bytes;
      state.copies += portion.copy;
    }
  };
  const movePortion = (
    { layer, upload, copy, receive }: Portion,
    { own, source, peers }: DeviceTask,
    near: { readonly bytes: number; readonly end: number },
    at: number,
  ): PortionSpan => {
    // What is still being staged goes to its place slot by slot.
    let [start, end] = [Infinity, Math.max(at, near.end)];
    const bring = (road: Road | undefined, bytes: number): void => {
      if (bytes === 0 || road === undefined) return;
      const travel = lanes.transfer(road, bytes, at, 'weights');
      start = Math.min(start, travel.start);
      end = Math.max(end, travel.end);
    };
    bring(own, copy);
    bring(own, near.bytes);
    for (const [peer, bytes] of receive) bring(peers[peer], bytes);
    bring(source, upload - near.bytes);
    return { layer, start: Math.min(start, end), end, bytes: broughtIn({ upload, receive }) };
  };
  return {
    bytes: [...tasks.values()].reduce(
      (sum, { written }) => written.portions.reduce((all, each) => all + broughtIn(each), sum),
      0,
    ),
    gates: new Set(gates.filter((exchanges) => exchanges >= 0 && exchanges < Infinity)),
    prepare(device) {
      const state = bringing(device);
      if (!state.isStaging) stage(device, state);
    },
    isNear(device) {
      const { task, staged, opened } = bringing(device);
      return task.written.portions.every(({ upload, receive }, index) => {
        if (index < opened) return true;
        const near = staged.get(index);
        return upload === (near?.bytes ?? 0) && (near?.end ?? 0) <= clock.now() && receive.size === 0;
      });
    },
    open(device, exchanges) {
      const state = bringing(device);
      const { portions } = state.task.written;
      let end = state.opened;
      while (end < portions.length && portions[end]!.behind <= exchanges) end++;
      if (end > state.opened) {
        openTo(state, end);
        if (!state.isStaging) stage(device, state);
      }
      return end === portions.length;
    },
    begin(device) {
      const state = bringing(device);
      under.delete(device);
      const { written } = state.task;
      const { ring, slot } = room(device);
      const ahead = copyEngines ? Infinity : Math.max(state.reached - state.uploaded, ring);
      openTo(state, written.portions.length);
      const slots = copyEngines ? undefined : slotsOf(written)(slot);
      const arrivals = {
        count: written.weights.length,
        at: (weight: number) => weightPoint(state, weight, slots),
      };
      const course = createUploadCourse(state.progress, arrivals, ahead);
      return { course, needs: written.needs, spans: () => delayed(state, arrivals, course) };
    },
  };
}

/**
 * When a weight is there with the slot of its last byte, which ends among them.
 *
 * @param slots by weight; absent if they hold no more than a byte
 */
function weightPoint(
  { task, progress, ends }: Bringing,
  weight: number,
  slots: readonly SlotEnd[] | undefined,
): UploadPoint {
  const { weights } = task.written;
  const slot = slots?.[weight] ?? { place: weight, part: 1 };
  // A slot that a weight just fills waits for nothing of the next one.
  const { place, part } = slot.part === 0 && slot.place > 0 ? { place: slot.place - 1, part: 1 } : slot;
  const { portion, from, to } = weights[place]!;
  const end = ends[portion]!;
  const share = from + part * (to - from);
  const within = (values: readonly number[]): number =>
    values[end - 1]! + share * (values[end]! - values[end - 1]!);
  return { bytes: within(progress.bytes), time: within(progress.times) };
}

/** What moved when, with what held it up: until its last weight is there. */
function delayed(
  { task: { written }, spans }: Bringing,
  arrivals: UploadedWeights,
  { delay }: UploadCourse,
): readonly PortionSpan[] {
  const last = written.portions.map(() => 0);
  written.weights.forEach(({ portion }, weight) => (last[portion] = weight));
  let before = 0;
  return spans.map((span, portion) => {
    const own = delay(last[portion]!);
    const [start, end] = [span.start + before, arrivals.at(last[portion]!).time + own];
    before = own;
    return { ...span, start, end };
  });
}

/**
 * Bytes of a copy of what stages hold, which the place that weights come from must have room for: of `neededTensors`,
 * without the rectangles that nobody asks for here.
 */
function modelBytes(stages: RuntimeGraph['stages']): number {
  const tensors = new Map<string, { rows: number; cols: number; dtype: WeightType; agreed: boolean }>();
  for (const { shards } of stages)
    for (const { weights } of shards)
      for (const { dtype, pieces } of weights)
        for (const { tensor, rows, cols } of pieces) {
          let whole = tensors.get(tensor);
          if (whole === undefined) tensors.set(tensor, (whole = { rows: 0, cols: 0, dtype, agreed: true }));
          whole.rows = Math.max(whole.rows, rows[1]);
          whole.cols = Math.max(whole.cols, cols[1]);
          whole.agreed &&= whole.dtype === dtype;
        }
  let bytes = 0;
  for (const { rows, cols, dtype, agreed } of tensors.values())
    bytes += rows * cols * bytesPerElement(agreed ? dtype : 'f32');
  return bytes;
}
