/** Slices within steps have the seconds that the simulation counts by category. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import type { CostKind } from '../../../compiler/cost/program-cost.js';
import type { DeviceKind, Mesh, Plan } from '../../../compiler/plan/plan.js';
import { routesOf } from '../../../compiler/plan/routes.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { DeviceTime, SimulatedRequest } from '../../../runtime/clock/simulation.js';
import { stageGroups, stepSize, type TpGroup } from '../../../runtime/clock/stage-clock.js';
import { createTimeline, flatSlices } from '../../../runtime/clock/timeline.js';
import { createClockTrace } from '../../../runtime/clock/trace-clock.js';
import type { TransitionMode } from '../../../runtime/scheduler/types.js';
import { makePlan } from '../../compiler/support/make-plan.js';

interface Simulated {
  readonly makespan: number;
  readonly devices: readonly DeviceTime[];
  /** Seconds of slices on a device's queue, by name. */
  readonly sliced: (device: string, names: RegExp) => number;
}

interface Case {
  readonly prefill: Partial<Mesh>;
  readonly decode: Partial<Mesh>;
  readonly requests: readonly SimulatedRequest[];
  readonly transitions?: TransitionMode;
  /** Bytes per second. */
  readonly peers?: number | undefined;
  readonly host?: number | undefined;
  readonly shared?: DeviceKind['shared'];
  /** Devices that have eight times the memory bandwidth of the others. */
  readonly faster?: readonly number[];
}

function simulated({
  prefill,
  decode,
  requests,
  transitions,
  peers,
  host,
  shared,
  faster = [],
}: Case): Simulated {
  const { topology, ...rest } = makePlan({
    shape: { layers: 8, hidden: 256, heads: 8, kvHeads: 4, headDim: 32, ffn: 512, vocab: 512, context: 128 },
    stages: [
      { name: 'prefill', mesh: prefill, microbatchTokens: 32 },
      { name: 'decode', mesh: decode, batchRequests: 4 },
    ],
    ...(peers !== undefined && { peerBandwidth: peers }),
  });
  const kind = { ...topology.devices[0]!.kind, ...(shared && { shared }) };
  const fast = { ...kind, bandwidth: 8 * kind.bandwidth };
  const plan: Plan = {
    ...rest,
    topology: {
      ...topology,
      devices: topology.devices.map((device) => ({
        ...device,
        kind: faster.includes(device.id) ? fast : kind,
      })),
      links: topology.links.map((link) =>
        host !== undefined && link.to === 'host' ? { ...link, bandwidth: host } : link,
      ),
    },
  };
  const timeline = createTimeline();
  const { makespan, devices } = simulate(compilePlan(plan).runtime, plan, requests, {
    engine: FULCRUM_ENGINE,
    timeline,
    ...(transitions && { transitions }),
  });
  const slices = [...flatSlices(timeline)].filter(({ thread }) => thread === 'queue');
  const sliced: Simulated['sliced'] = (device, names) =>
    slices.reduce(
      (sum, { process, name, start, end }) =>
        process === device && names.test(name) ? sum + end - start : sum,
      0,
    );
  return { makespan, devices, sliced };
}

/** What slices are called that have the time of some kinds. */
const NAMES: readonly (readonly [RegExp, readonly CostKind[]])[] = [
  [/^(kernels|read samples)$/, ['gemm', 'attention', 'elementwise', 'launch']],
  [/^all_reduce /, ['all_reduce']],
  [/^all_gather /, ['all_gather']],
  [/^send$/, ['send']],
];

function expectSums({ makespan, devices, sliced }: Simulated): void {
  for (const { device, seconds, exposedTransition } of devices) {
    for (const [names, kinds] of NAMES) {
      const counted = kinds.reduce((sum, kind) => sum + seconds[kind], 0);
      expect((sliced(device, names) - counted) / makespan, `${device} ${names.source}`).toBeCloseTo(0, 9);
    }
    expect(sliced(device, /^wait for weights$/) / makespan).toBeLessThanOrEqual(
      exposedTransition / makespan + 1e-9,
    );
  }
}

it('counts none of the time by which page moves make a step late with what it hands on', () => {
  const requests = Array.from({ length: 8 }, () => ({ promptTokens: 64, outputTokens: 4 }));
  const late = simulated({ prefill: { pp: 2, tp: 2 }, decode: { tp: 4 }, requests, host: 1e8 });
  expectSums(late);
  // The moves take more than all that is handed on does.
  const [first] = late.devices;
  expect(first!.pages).toBeGreaterThan(first!.seconds.send);
});

it('has the same seconds in slices and in sums, whatever holds steps up', () => {
  const mesh = fc.constantFrom({ pp: 4 }, { tp: 4 }, { pp: 2, tp: 2 }, { dp: 2, tp: 2 }, { dp: 2, pp: 2 });
  const request = fc.record({
    promptTokens: fc.integer({ min: 1, max: 60 }),
    outputTokens: fc.integer({ min: 1, max: 10 }),
  });
  const cases = fc.record({
    prefill: mesh,
    decode: mesh,
    requests: fc.array(request, { minLength: 1, maxLength: 10 }),
    transitions: fc.constantFrom<TransitionMode>('dataflow', 'barrier'),
    // Links so slow that what crosses them decides.
    peers: fc.constantFrom(undefined, 2e6),
    host: fc.constantFrom(undefined, 1e8),
    shared: fc.constantFrom(undefined, { 2: 0.6, 4: 0.3 }),
    faster: fc.constantFrom([], [0, 3]),
  });
  fc.assert(
    fc.property(cases, (each) => expectSums(simulated(each))),
    { numRuns: 25 },
  );
});

it('shows a wait for weights as long as it was, behind exchanges that took longer than on links of their own', () => {
  const plan = makePlan({ stages: [{ name: 'serve', mesh: { tp: 2 } }] });
  const { runtime: graph } = compilePlan(plan);
  const [stage] = graph.stages;
  const [[group]] = stageGroups(stage!, plan, routesOf(plan.topology), FULCRUM_ENGINE) as [[TpGroup]];
  const size = stepSize(
    [{ sequence: 0, start: 0, count: 8, sample: true, firstPage: 0, pages: [] }],
    plan.kv.pageTokens,
  );
  const exchange = stage!.programs[0]!.ops.findIndex(({ op }) => op === 'collective');
  const timeline = createTimeline();
  createClockTrace(graph, timeline).pass({
    stage: 'serve',
    replica: 0,
    pp: 0,
    group,
    size,
    label: { name: 'prefill', args: {}, requests: [] },
    time: {
      start: 0,
      end: 100,
      ends: undefined,
      send: 0,
      waits: [{ op: exchange + 1, start: 1, end: 3 }],
      slowdown: { kernels: 1, host: 1, exchanges: 1e4 },
    },
  });
  const waits = timeline
    .slices()
    .map(({ within }) => within!().filter(({ name }) => name === 'wait for weights'));
  expect(waits).toHaveLength(2);
  for (const [wait, ...others] of waits) {
    expect(others).toEqual([]);
    expect(wait!.end - wait!.start).toBeCloseTo(2, 12);
  }
});
