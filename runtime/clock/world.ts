/**
 * The machine on the clock: devices, links, the host, and what is under way on them. It carries out steps, page moves
 * and transitions and calls back when each is done.
 *
 * - *step*: the host prepares it, one step after the other; then it passes the tp groups of its replica in turn, each
 *   when the group's devices are free, in the order in which steps get there.
 * - *transition*: each device begins behind the steps given out before it; a step of the new stage goes layer by layer
 *   as far as weights have arrived on all devices of the group.
 * - *page move*: every rank of the pool moves its slice over its own lanes.
 */
import type { EngineModel } from '../../compiler/cost/engine-model.js';
import type { StepSize } from '../../compiler/cost/kernel-work.js';
import { ringBytes } from '../../compiler/cost/links.js';
import { COST_KINDS, noSeconds, type CostKind, type StepSeconds } from '../../compiler/cost/program-cost.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { residencesOf, transitionBetween } from '../../compiler/ir/residences.js';
import { routesOf } from '../../compiler/plan/routes.js';
import { roadsOf } from '../../compiler/reshard/roads.js';
import type { StepLabel } from '../exec/pipeline.js';
import type { SchedulerState } from '../scheduler/scheduler.js';
import type { Action, TransitionMode } from '../scheduler/types.js';
import { createClockDevices } from './devices.js';
import { createLanes } from './lanes.js';
import { clockPages } from './pages.js';
import { peakMemory } from './peak-memory.js';
import type { Simulation } from './simulation.js';
import { stageGroups, stepSize, type StageGroup } from './stage-clock.js';
import type { ClockTrace } from './trace-clock.js';
import { createTransitions, type PassTime, type TransitionContext } from './transitions.js';
import { createVirtualClock, type VirtualClock } from './virtual-clock.js';

type ActionOf<Kind extends Action['kind']> = Extract<Action, { kind: Kind }>;

export interface World {
  readonly clock: VirtualClock;
  /** `label`: how it appears in the trace, where there is one. */
  readonly step: (action: ActionOf<'step'>, label: StepLabel | undefined, done: () => void) => void;
  readonly movePages: (action: ActionOf<'page_out' | 'page_in'>, done: () => void) => void;
  readonly spillPages: (action: ActionOf<'spill' | 'fetch'>, done: () => void) => void;
  readonly switchStage: (action: ActionOf<'switch'>, done: () => void) => void;
  /** `states`: of the schedulers at the end. */
  readonly result: (
    states: readonly SchedulerState[],
  ) => Pick<Simulation, 'makespan' | 'transitions' | 'bytes' | 'devices' | 'links' | 'tierPeak'>;
}

/** How devices change stage, and what is told of it all. */
export interface WorldOptions {
  readonly transitions: TransitionMode;
  readonly trace?: ClockTrace;
}

/** Seconds by category of one tp group. */
type Tally = Record<CostKind, number>;

/** Bytes that each rank of a group has exchanged, given and taken, and how long that took. */
interface Exchanged {
  allReduce: number;
  allGather: number;
  collectiveSeconds: number;
  send: number;
  sendSeconds: number;
}

const NOTHING: Exchanged = { allReduce: 0, allGather: 0, collectiveSeconds: 0, send: 0, sendSeconds: 0 };

export function createWorld(
  graph: RuntimeGraph,
  plan: Plan,
  engine: EngineModel,
  { transitions: mode, trace }: WorldOptions,
): World {
  const { topology } = plan;
  const overhead = engine.hostOverhead ? topology.overhead : { step: 0, request: 0 };
  const clock = createVirtualClock();
  const lanes = createLanes(roadsOf(topology));
  const routes = routesOf(topology);
  const devices = createClockDevices();
  const residences = residencesOf(graph);
  const residenceOf = (stage: string): string => residences.get(stage)!.residence;
  const stages = new Map(graph.stages.map((stage) => [stage.name, stageGroups(stage, plan, routes, engine)]));
  const pages = clockPages(graph, plan, lanes, devices, engine.copyEngines);
  const transitions = createTransitions(clock, devices);
  const tallies = new Map<StageGroup, Tally>();
  const exchanged = new Map<StageGroup, Exchanged>();
  const bytes = { allReduce: 0, allGather: 0, send: 0, kvOut: 0, kvIn: 0, kvSpilled: 0, kvFetched: 0 };
  const moving = { count: 0, seconds: 0, bytes: 0 };
  const pageSeconds = new Map<number, number>();
  let hostFree = 0;
  let last = 0;

  const tallyOf = (group: StageGroup): Tally => {
    const known = tallies.get(group);
    if (known !== undefined) return known;
    const tally = noSeconds();
    tallies.set(group, tally);
    return tally;
  };

  const countExchanges = (group: StageGroup, size: StepSize, cost: StepSeconds): void => {
    const traffic = group.cost.traffic(size);
    const sum = exchanged.get(group) ?? { ...NOTHING };
    exchanged.set(group, sum);
    for (const kind of ['allReduce', 'allGather', 'send'] as const) {
      bytes[kind] += traffic[kind] * group.devices.length;
      sum[kind] += traffic[kind];
    }
    sum.collectiveSeconds += cost.all_reduce + cost.all_gather;
    sum.sendSeconds += cost.send;
  };

  /** Runs one group's part of a step once it is ready there. */
  const pass = (
    { stage, replica }: ActionOf<'step'>,
    pp: number,
    group: StageGroup,
    size: StepSize,
    label: StepLabel | undefined,
    done: () => void,
  ): void => {
    const residence = residenceOf(stage);
    transitions.whenBegun(group.devices, residence, () => {
      const cost = group.cost.step(size);
      const tally = tallyOf(group);
      let pure = 0;
      for (const kind of COST_KINDS) {
        tally[kind] += cost[kind];
        pure += cost[kind];
      }
      countExchanges(group, size, cost);
      let time: PassTime = { seconds: pure, waits: [] };
      const { start, end } = devices.run(group.devices, clock.now(), (begin) => {
        time = transitions.passTime(group, residence, size, begin, pure);
        return time.seconds;
      });
      if (label !== undefined) trace?.pass(stage, replica, pp, group, size, label, start, time);
      clock.at(end, () => {
        devices.leave(group.devices);
        done();
      });
    });
  };

  /** Puts what groups have exchanged onto the lanes: collectives go round the ring of their ranks. */
  const countLinks = (): void => {
    const path = (device: number): string => topology.devices[device]!.path;
    for (const replicas of stages.values())
      for (const groups of replicas)
        for (const [pp, group] of groups.entries()) {
          const sum = exchanged.get(group);
          if (sum === undefined) continue;
          const ranks = group.devices.length;
          const next = groups[pp + 1]?.devices;
          group.devices.forEach((device, tp) => {
            const carried = ringBytes(sum, ranks);
            if (carried > 0) {
              lanes.count(
                path(device),
                path(group.devices[(tp + 1) % ranks]!),
                carried,
                sum.collectiveSeconds,
              );
            }
            if (sum.send > 0 && next !== undefined)
              lanes.count(path(device), path(next[tp % next.length]!), sum.send, sum.sendSeconds);
          });
        }
  };

  return {
    clock,
    step(action, label, done) {
      const { stage, replica, items } = action;
      const groups = stages.get(stage)![replica]!;
      const size = stepSize(items, graph.kv.pageTokens);
      const prepare = Math.max(clock.now(), hostFree);
      hostFree = prepare + overhead.step + overhead.request * items.length;
      trace?.encode(action, { start: prepare, end: hostFree });
      for (const group of groups) devices.enter(group.devices);
      const relay = (pp: number): void => {
        const group = groups[pp];
        if (group === undefined) {
          last = clock.now();
          done();
        } else pass(action, pp, group, size, label, () => relay(pp + 1));
      };
      clock.at(hostFree, () => relay(0));
    },
    movePages(action, done) {
      const { kind, pool, replica, pages: moved } = action;
      const { end, bytes: carried } = pages.move(
        { pool, replica, direction: kind === 'page_out' ? 'out' : 'in', pages: moved.length },
        clock.now(),
        ({ device, bytes: own, ...span }) => {
          trace?.pages(action, device, span, own);
          if (engine.copyEngines) return;
          pageSeconds.set(device, (pageSeconds.get(device) ?? 0) + span.end - span.start);
        },
      );
      bytes[kind === 'page_out' ? 'kvOut' : 'kvIn'] += carried;
      clock.at(end, done);
    },
    spillPages(action, done) {
      const { kind, hostPages } = action;
      const start = clock.now();
      const { end, bytes: carried } = pages.spill({ pages: hostPages.length, direction: kind }, start);
      trace?.spill(action, { start, end });
      bytes[kind === 'spill' ? 'kvSpilled' : 'kvFetched'] += carried;
      clock.at(end, done);
    },
    switchStage({ from, to }, done) {
      const transition = transitionBetween(graph, residences, from, to);
      if (transition === undefined) throw new Error(`no transition from ${from} to ${to}`);
      const began = clock.now();
      const context: TransitionContext = {
        graph,
        plan,
        lanes,
        fullReload: engine.fullReload,
        onBegin: (device, start, end, spans) => trace?.weights(transition, device, { start, end }, spans),
      };
      const carried = transitions.start(transition, residenceOf(to), context, () => {
        moving.seconds += clock.now() - began;
        trace?.transition(from, to, mode, { start: began, end: clock.now() }, carried);
        done();
      });
      moving.count++;
      moving.bytes += carried;
    },
    result(states) {
      countLinks();
      const { kvPeak, tierPeak } = peakMemory(graph, states);
      const spent = new Map(graph.devices.map(({ id }): [number, Tally] => [id, noSeconds()]));
      for (const [group, tally] of tallies)
        for (const device of group.devices)
          for (const kind of COST_KINDS) spent.get(device)![kind] += tally[kind];
      return {
        makespan: last,
        transitions: moving,
        bytes,
        devices: graph.devices.map(({ id, path, peak, budget }) => {
          const seconds = spent.get(id)!;
          const exposedTransition = transitions.exposed(id);
          const moved = pageSeconds.get(id) ?? 0;
          const used = Object.values(seconds).reduce((sum, each) => sum + each, exposedTransition + moved);
          const { start, end } = devices.span(id) ?? { start: 0, end: 0 };
          return {
            device: path,
            seconds,
            exposedTransition,
            pages: moved,
            idle: Math.max(0, last - used),
            bubbles: Math.max(0, end - start - used),
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
