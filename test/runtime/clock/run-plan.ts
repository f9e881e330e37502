/** Plans small enough to know what must come out, run on the clock. */
import { expect } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { FULCRUM_ENGINE, type EngineModel } from '../../../compiler/cost/engine-model.js';
import type { RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';
import type { DeviceKind, Plan } from '../../../compiler/plan/plan.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { SimulatedRequest, Simulation } from '../../../runtime/clock/simulation.js';
import { createTimeline, type TimedSlice } from '../../../runtime/clock/timeline.js';
import type { TransitionMode } from '../../../runtime/scheduler/types.js';
import { makePlan, type PlanOptions } from '../../compiler/support/make-plan.js';

export const FREE_ENGINE: EngineModel = { ...FULCRUM_ENGINE, hostOverhead: false, smallGemmLoss: false };

export interface Ran extends Simulation {
  readonly slices: readonly TimedSlice[];
  readonly graph: RuntimeGraph;
}

export function run(
  options: PlanOptions,
  requests: readonly SimulatedRequest[],
  engine: EngineModel = FREE_ENGINE,
  transitions: TransitionMode = 'dataflow',
  change: (plan: Plan) => Plan = (plan) => plan,
): Ran {
  const plan = change(makePlan(options));
  const { runtime, diagnostics } = compilePlan(plan);
  expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  const timeline = createTimeline();
  const simulation = simulate(runtime, plan, requests, { engine, transitions, timeline });
  return { ...simulation, slices: timeline.slices(), graph: runtime };
}

/** All devices of the plan are one processor. */
export const sharing =
  (shared: DeviceKind['shared']) =>
  (plan: Plan): Plan => {
    const kind = { ...plan.topology.devices[0]!.kind, ...(shared && { shared }) };
    const devices = plan.topology.devices.map((device) => ({ ...device, kind }));
    return { ...plan, topology: { ...plan.topology, devices } };
  };

/** Some devices are so many times as fast as declared, in whatever they do. */
export const withFaster =
  (faster: readonly number[], times: number) =>
  (plan: Plan): Plan => {
    const { kind } = plan.topology.devices[0]!;
    const compute = Object.fromEntries(
      Object.entries(kind.compute).map(([type, speed]) => [type, speed * times]),
    );
    const fast = { ...kind, compute, bandwidth: kind.bandwidth * times };
    const devices = plan.topology.devices.map((device) =>
      faster.includes(device.id) ? { ...device, kind: fast } : device,
    );
    return { ...plan, topology: { ...plan.topology, devices } };
  };

/** Two nodes of two devices, with a link between them that is a hundred times slower than within. */
export function onTwoNodes(plan: Plan): Plan {
  const devices = plan.topology.devices.map((device, i) => {
    const group = `node[${i >> 1}]`;
    return { ...device, group, path: `${group}.gpu[${i % 2}]` };
  });
  const [link] = plan.topology.links;
  const links = [
    { ...link!, scope: 'node[*]', latency: 0 },
    { ...link!, from: 'node', to: 'node', bandwidth: link!.bandwidth / 100, latency: 0 },
  ];
  return { ...plan, topology: { ...plan.topology, devices, links } };
}

/** Slices of a device's lane. */
export const onLane = ({ slices }: Ran, device: number, thread: string): readonly TimedSlice[] =>
  slices.filter(({ lane }) => lane.process === `gpu[${device}]` && lane.thread === thread);
