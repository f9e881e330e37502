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
import { COST_KINDS, type CostKind } from '../../compiler/cost/program-cost.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { routesOf } from '../../compiler/plan/routes.js';
import { roadsOf } from '../../compiler/reshard/roads.js';
import { residencesOf, transitionBetween } from '../engine/residence.js';
import type { Action } from '../scheduler/types.js';
import { createClockDevices } from './devices.js';
import { createLanes } from './lanes.js';
import { clockPages, type PageMove } from './pages.js';
import type { ClockSpan, Simulation } from './simulation.js';
import { stageGroups, stepSize, type StageGroup } from './stage-clock.js';
import { createTransitions } from './transitions.js';
import { createVirtualClock, type VirtualClock } from './virtual-clock.js';

export interface World {
  readonly clock: VirtualClock;
  readonly step: (action: Extract<Action, { kind: 'step' }>, done: () => void) => void;
  readonly movePages: (
    move: Pick<PageMove, 'pool' | 'replica' | 'direction'> & { readonly pages: readonly number[] },
    done: () => void,
  ) => void;
  readonly spillPages: (action: Extract<Action, { kind: 'spill' | 'fetch' }>, done: () => void) => void;
  readonly switchStage: (action: Extract<Action, { kind: 'switch' }>, done: () => void) => void;
  readonly result: () => Pick<Simulation, 'makespan' | 'transitions' | 'bytes' | 'devices' | 'links'>;
}

/** Seconds by category of one tp group. */
type Tally = Record<CostKind, number>;

export function createWorld(
  graph: RuntimeGraph,
  plan: Plan,
  engine: EngineModel,
  onSpan: (span: ClockSpan) => void,
): World {
  const { topology } = plan;
  const overhead = engine.hostOverhead ? topology.overhead : { step: 0, layer: 0, request: 0 };
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
  const bytes = { allReduce: 0, send: 0, kvOut: 0, kvIn: 0, kvSpilled: 0, kvFetched: 0 };
  const moving = { count: 0, seconds: 0, bytes: 0 };
  const pageSeconds = new Map<number, number>();
  let hostFree = 0;
  let last = 0;

  const tallyOf = (group: StageGroup): Tally => {
    const known = tallies.get(group);
    if (known !== undefined) return known;
    const tally: Tally = { gemm: 0, attention: 0, elementwise: 0, all_reduce: 0, send: 0, launch: 0 };
    tallies.set(group, tally);
    return tally;
  };

  /** Runs one group's part of a step once it is ready there. */
  const pass = (stage: string, group: StageGroup, size: StepSize, done: () => void): void => {
    const residence = residenceOf(stage);
    transitions.whenBegun(group.devices, residence, () => {
      const cost = group.cost.step(size);
      const tally = tallyOf(group);
      let pure = 0;
      for (const kind of COST_KINDS) {
        tally[kind] += cost[kind];
        pure += cost[kind];
      }
      const { allReduce, send } = group.cost.traffic(size);
      bytes.allReduce += allReduce * group.devices.length * 2;
      bytes.send += send * group.devices.length;
      const { start, end } = devices.run(group.devices, clock.now(), (begin) =>
        transitions.passSeconds(group, residence, size, begin, pure),
      );
      for (const device of group.devices)
        onSpan({ what: 'step', device, start, end, stage, tokens: size.tokens });
      clock.at(end, () => {
        devices.leave(group.devices);
        done();
      });
    });
  };

  return {
    clock,
    step({ stage, replica, items }, done) {
      const groups = stages.get(stage)![replica]!;
      const size = stepSize(items);
      hostFree = Math.max(clock.now(), hostFree) + overhead.step + overhead.request * items.length;
      for (const group of groups) devices.enter(group.devices);
      const relay = (pp: number): void => {
        const group = groups[pp];
        if (group === undefined) {
          last = clock.now();
          done();
        } else pass(stage, group, size, () => relay(pp + 1));
      };
      clock.at(hostFree, () => relay(0));
    },
    movePages({ pool, replica, direction, pages: moved }, done) {
      const { end, bytes: carried } = pages.move(
        { pool, replica, direction, pages: moved.length },
        clock.now(),
        (span) => {
          onSpan({ what: direction === 'out' ? 'page_out' : 'page_in', ...span });
          if (engine.copyEngines) return;
          pageSeconds.set(span.device, (pageSeconds.get(span.device) ?? 0) + span.end - span.start);
        },
      );
      bytes[direction === 'out' ? 'kvOut' : 'kvIn'] += carried;
      clock.at(end, done);
    },
    spillPages({ kind, hostPages }, done) {
      const { end, bytes: carried } = pages.spill({ pages: hostPages.length, direction: kind }, clock.now());
      bytes[kind === 'spill' ? 'kvSpilled' : 'kvFetched'] += carried;
      clock.at(end, done);
    },
    switchStage({ from, to }, done) {
      const transition = transitionBetween(graph, residences, from, to);
      if (transition === undefined) throw new Error(`no transition from ${from} to ${to}`);
      const began = clock.now();
      const report = { graph, plan, lanes, fullReload: engine.fullReload, onSpan };
      const carried = transitions.start(transition, residenceOf(to), report, () => {
        moving.seconds += clock.now() - began;
        done();
      });
      moving.count++;
      moving.bytes += carried;
    },
    result: () => ({
      makespan: last,
      transitions: moving,
      bytes,
      devices: graph.devices.map(({ id, path }) => {
        const seconds: Tally = { gemm: 0, attention: 0, elementwise: 0, all_reduce: 0, send: 0, launch: 0 };
        for (const [group, tally] of tallies)
          if (group.devices.includes(id)) for (const kind of COST_KINDS) seconds[kind] += tally[kind];
        const exposedTransition = transitions.exposed(id);
        const moved = pageSeconds.get(id) ?? 0;
        const used = Object.values(seconds).reduce((sum, each) => sum + each, 0);
        const idle = Math.max(0, last - used - exposedTransition - moved);
        return { device: path, seconds, exposedTransition, pages: moved, idle };
      }),
      links: lanes.use(),
    }),
  };
}
