/**
 * The machine on the clock: devices, links, the host, and what is under way on them. It carries out steps, page moves
 * and transitions and calls back when each is done.
 *
 * - *step*: its host prepares it, one step after the other (`hosts.ts`); then it passes the tp groups of its replica in
 *   turn, each in the order in which steps get there, when the group's devices are free. See `pass.ts`.
 * - *transition*: each device writes what the steps given out before it are past; a step of the new stage goes op by op
 *   as far as weights have arrived on all devices of the group. Once it is announced, uploads begin.
 * - *page move*: every rank of the pool moves its slice, one thing after the other with what its steps have given to the
 *   device. See `pages.ts`.
 */
import type { EngineModel } from '../../compiler/cost/engine-model.js';
import { COST_KINDS, noSeconds, type CostKind, type StepSeconds } from '../../compiler/cost/program-cost.js';
import { prepare, type Host } from '../../compiler/cost/host-queue.js';
import type { RuntimeGraph, RuntimeTransition } from '../../compiler/ir/runtime-graph.js';
import type { Overhead, Plan } from '../../compiler/plan/plan.js';
import { residencesOf, transitionBetween } from '../../compiler/ir/residences.js';
import { routesOf } from '../../compiler/plan/routes.js';
import { roadsOf } from '../../compiler/reshard/roads.js';
import type { StepLabel } from '../exec/pipeline.js';
import type { SchedulerState } from '../scheduler/scheduler.js';
import type { ActionOf, TransitionMode } from '../scheduler/types.js';
import { createCompute } from './compute.js';
import { createClockDevices } from './devices.js';
import { createHosts } from './hosts.js';
import { createLanes } from './lanes.js';
import type { PageHomes } from './page-homes.js';
import { clockPages } from './pages.js';
import { createPasses, passedTime, type Pass, type PassedStep } from './pass.js';
import { peakMemory } from './peak-memory.js';
import type { Simulation } from './simulation.js';
import { attentionTiles, stageGroups, stepSize, type KindCost, type TpGroup } from './stage-clock.js';
import type { ClockTrace } from './trace-clock.js';
import { stagingRoom } from './staging-room.js';
import { createTransitions, type OnMoved } from './transitions.js';
import { createVirtualClock, type VirtualClock } from './virtual-clock.js';
import { clockTransition } from './weights.js';

/** Carries out what schedulers ask for. Each calls back at the time at which it is done. */
export interface World {
  readonly clock: VirtualClock;
  /** Carries out a step. `label`: how it appears in the trace, where there is one. */
  readonly step: (action: ActionOf<'step'>, label: StepLabel | undefined, done: () => void) => void;
  /** Moves KV pages between devices and the host tier. `homes`: those of the scheduler that asks for it. */
  readonly movePages: (action: ActionOf<'page_out' | 'page_in'>, homes: PageHomes, done: () => void) => void;
  /** Moves KV pages between the host tier and the disk tier. */
  readonly spillPages: (action: ActionOf<'spill' | 'fetch'>, homes: PageHomes, done: () => void) => void;
  /** Brings weights near for a change of stage that is to come. */
  readonly prepareSwitch: (action: ActionOf<'prepare'>) => void;
  /** Changes the stage of devices. */
  readonly switchStage: (action: ActionOf<'switch'>, done: () => void) => void;
  /** What all of it came to. `states`: of the schedulers at the end. */
  readonly result: (
    states: readonly SchedulerState[],
  ) => Pick<Simulation, 'makespan' | 'transitions' | 'bytes' | 'devices' | 'links' | 'tierPeak'>;
}

/** How devices change stage, and what is told of it all. */
export interface WorldOptions {
  readonly transitions: TransitionMode;
  readonly trace?: ClockTrace;
}

/**
 * Seconds by category of the devices of one kind in a tp group. Waits for links are included, and at exchanges those for
 * other devices; waits for weights are not, nor those for kernels of slower devices.
 */
type Tally = Record<CostKind, number>;

function count(tally: Tally, cost: StepSeconds, pass: Readonly<Pass>): void {
  const { slowdown, stretch, send, work } = pass;
  const { kernels, host } = slowdown;
  const exchanges = stretch * host;
  tally.gemm += cost.gemm * kernels;
  tally.attention += cost.attention * kernels;
  tally.elementwise += cost.elementwise * kernels;
  tally.launch += cost.launch * kernels + work.submits * host;
  tally.all_reduce += cost.all_reduce * exchanges;
  tally.all_gather += cost.all_gather * exchanges;
  tally.send += send;
}

/** Part of a time that is found as a difference: none where it is no more than what sums of many are off by. */
function unlessRounding(part: number, whole: number): number {
  return part > 1e-10 * whole ? part : 0;
}

/** Whether steps keep the host from what it does for other groups. */
function keepTheHost({ encode = 0, choose = 0 }: Overhead): boolean {
  return encode + choose > 0;
}

/** Tells groups whose devices others of the same residence have as well. */
function jointGroups(
  stages: readonly (readonly [residence: string, groups: readonly TpGroup[]])[],
): (group: TpGroup) => boolean {
  const [had, joint] = [new Map<string, TpGroup>(), new Set<TpGroup>()];
  for (const [residence, groups] of stages)
    for (const group of groups)
      for (const device of group.devices) {
        const key = `${residence} ${device}`;
        const other = had.get(key);
        if (other === undefined) had.set(key, group);
        else joint.add(group).add(other);
      }
  return (group) => joint.has(group);
}

/** The machine of a plan, with nothing under way. */
export function createWorld(
  graph: RuntimeGraph,
  plan: Plan,
  engine: EngineModel,
  { transitions: mode, trace }: WorldOptions,
): World {
  const { topology } = plan;
  const overhead = engine.hostOverhead ? topology.overhead : { step: 0, request: 0 };
  const attention = { tiles: attentionTiles(topology), window: plan.model.shape.sliding?.window };
  const clock = createVirtualClock();
  const lanes = createLanes(roadsOf(topology), clock.now);
  const routes = routesOf(topology);
  const devices = createClockDevices(clock);
  const residences = residencesOf(graph);
  const residenceOf = (stage: string): string => residences.get(stage)!.residence;
  const stages = new Map(graph.stages.map((stage) => [stage.name, stageGroups(stage, plan, routes, engine)]));
  const hostOf = createHosts(residences, engine);
  /** By the devices of a group. */
  const hosts = new Map<readonly number[], Host>();
  for (const [stage, replicas] of stages)
    for (const [replica, groups] of replicas.entries())
      for (const { devices: own } of groups) hosts.set(own, hostOf(stage, replica));
  const pages = clockPages(graph, plan, {
    clock,
    lanes,
    devices,
    copyEngines: engine.copyEngines,
    hostOf,
    onCarried: (carried) => trace?.carried(carried),
  });
  const moveContext = { lanes, clock, room: stagingRoom(graph), ...engine };
  const transitions = createTransitions(clock, devices, (transition) =>
    clockTransition(graph, plan, transition, {
      ...moveContext,
      onStaged: (device, span, staged) => trace?.staged(transition, device, span, staged),
    }),
  );
  const passes = createPasses({
    clock,
    devices,
    lanes,
    transitions,
    compute: createCompute(clock, topology, engine.hostOverhead && keepTheHost(topology.overhead), (group) =>
      hosts.get(group),
    ),
    isJoint: jointGroups([...stages].map(([stage, replicas]) => [residenceOf(stage), replicas.flat()])),
  });
  const tallies = new Map<KindCost, Tally>();
  const bytes = { allReduce: 0, allGather: 0, send: 0, kvOut: 0, kvIn: 0, kvSpilled: 0, kvFetched: 0 };
  const moving = { count: 0, seconds: 0, bytes: 0 };
  /** Since when the next transition of a group has been announced. */
  const announced = new Map<RuntimeTransition, number>();
  let last = 0;

  const tallyOf = (kind: KindCost): Tally => {
    const known = tallies.get(kind);
    if (known !== undefined) return known;
    const tally = noSeconds();
    tallies.set(kind, tally);
    return tally;
  };

  const countPass = (pass: Readonly<Pass>): void => {
    const { group, work } = pass;
    const { costs, traffic } = work;
    for (let kind = 0; kind < costs.length; kind++) count(tallyOf(group.kinds[kind]!), costs[kind]!, pass);
    const ranks = group.devices.length;
    bytes.allReduce += traffic.allReduce * ranks;
    bytes.allGather += traffic.allGather * ranks;
    bytes.send += traffic.send * ranks;
  };

  const transitionOf = (from: string, to: string): RuntimeTransition => {
    const transition = transitionBetween(graph, residences, from, to);
    if (transition === undefined) throw new Error(`no transition from ${from} to ${to}`);
    return transition;
  };

  return {
    clock,
    step(action, label, done) {
      const { stage, replica, items } = action;
      const groups = stages.get(stage)![replica]!;
      const ahead = transitions.ahead(groups, residenceOf(stage));
      const size = stepSize(items, graph.kv.pageTokens, attention);
      const host = hostOf(stage, replica);
      const start = Math.max(clock.now(), host.prepared);
      const end = prepare(host, start, overhead.step, overhead.request * items.length);
      trace?.encode(action, { start, end });
      for (const group of groups) devices.enter(group.devices);
      /** Runs the part of the group at a place in the pipeline once the step is ready there, and so on to the last. */
      const relay = (pp: number): void => {
        if (pp < groups.length) passes.run(step, pp);
        else {
          last = clock.now();
          done();
        }
      };
      const step: PassedStep = {
        size,
        groups,
        ahead,
        works: [],
        left: (pp) => relay(pp + 1),
        passed(pass) {
          countPass(pass);
          if (label === undefined) return;
          const { pp, group } = pass;
          trace?.pass({ stage, replica, pp, group, size, label, time: passedTime(pass) });
        },
      };
      // Page moves that are asked for at the same moment have nothing to prepare.
      clock.behind(end, () => relay(0));
    },
    movePages(action, homes, done) {
      const { kind, pool, replica, hostPages } = action;
      const direction = kind === 'page_out' ? 'out' : 'in';
      const asked = clock.now();
      bytes[kind === 'page_out' ? 'kvOut' : 'kvIn'] += pages.move(
        { pool, replica, direction, hostPages },
        homes,
        ({ device, bytes: own }) => trace?.pages(action, device, { start: asked, end: clock.now() }, own),
        done,
      );
    },
    spillPages(action, homes, done) {
      const { kind, hostPages, diskPages } = action;
      const asked = clock.now();
      const move = { hostPages, diskPages, direction: kind };
      const { start, end, bytes: carried } = pages.spill(move, homes, asked);
      trace?.spill(action, { start: asked, end }, { start, end }, carried);
      bytes[kind === 'spill' ? 'kvSpilled' : 'kvFetched'] += carried;
      clock.at(end, done);
    },
    prepareSwitch({ from, to }) {
      const transition = transitionOf(from, to);
      announced.set(transition, clock.now());
      transitions.prepare(transition);
    },
    switchStage({ from, to }, done) {
      const transition = transitionOf(from, to);
      const began = clock.now();
      const since = announced.get(transition);
      if (since !== undefined) trace?.prefetch(transition, { start: since, end: began });
      announced.delete(transition);
      const onMoved: OnMoved = (device, spans) =>
        trace?.weights(transition, device, { start: began, end: clock.now() }, spans);
      const carried = transitions.start(transition, residenceOf(to), onMoved, () => {
        moving.seconds += clock.now() - began;
        trace?.transition(from, to, mode, { start: began, end: clock.now() }, carried);
        done();
      });
      moving.count++;
      moving.bytes += carried;
    },
    result(states) {
      const { kvPeak, tierPeak } = peakMemory(graph, states);
      const spent = new Map(graph.devices.map(({ id }): [number, Tally] => [id, noSeconds()]));
      for (const [{ devices: ofKind }, tally] of tallies)
        for (const device of ofKind) for (const kind of COST_KINDS) spent.get(device)![kind] += tally[kind];
      return {
        makespan: last,
        transitions: moving,
        bytes,
        devices: graph.devices.map(({ id, path, peak, budget }) => {
          const seconds = spent.get(id)!;
          const moved = Math.max(0, pages.seconds(id) - devices.beside(id));
          const span = devices.span(id) ?? { start: 0, end: 0 };
          const worked = Object.values(seconds).reduce((sum, each) => sum + each, moved);
          const heldUp = Math.max(0, devices.heldUp(id));
          const exposedTransition = transitions.exposed(id, { start: 0, end: last }) + heldUp;
          const inBetween = span.end - span.start - worked - transitions.exposed(id, span) - heldUp;
          const idle = unlessRounding(last - worked - exposedTransition, last);
          return {
            id,
            device: path,
            seconds,
            exposedTransition,
            pages: moved,
            idle,
            bubbles: Math.min(idle, unlessRounding(inBetween, last)),
            peak: {
              weights: peak.weights,
              workspace: peak.workspace,
              kv: kvPeak.get(id) ?? 0,
              total: peak.total,
            },
            budget,
          };
        }),
        links: lanes.use(),
        tierPeak,
      };
    },
  };
}
