/**
 * The clock executor beside the executor itself: the engine runs a plan on devices that keep virtual time, on which a
 * kernel and a page take what the cost model says. Everything must then happen at the same moments, and so in the same order.
 */
import { expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { FULCRUM_ENGINE } from '../../../compiler/cost/engine-model.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { Simulation } from '../../../runtime/clock/simulation.js';
import { createTimeline } from '../../../runtime/clock/timeline.js';
import { withoutPeers } from '../../../runtime/engine/without-peers.js';
import { openEngine } from '../../../runtime/engine/open.js';
import type { Slice, TraceArgs, Tracer } from '../../../runtime/trace/tracer.js';
import { makePlan, type PlanOptions, type StageOptions } from '../../compiler/support/make-plan.js';
import { submitRequests } from '../../../bench/support/requests.js';
import { virtualDevices } from '../support/virtual-devices.js';

const KERNEL = 1e-3;
const PAGES = 1e7;

/** Nothing takes time but kernels and pages: weights come from the host at once. */
function timed(plan: Plan): Plan {
  const { topology } = plan;
  const devices = topology.devices.map((device) => ({
    ...device,
    kind: { ...device.kind, bandwidth: 1e30, compute: { f32: 1e30 } },
  }));
  const links = topology.links.map((link) => ({
    ...link,
    latency: 0,
    ...(link.to === 'host' ? { bandwidth: PAGES, weights: 1e30 } : { bandwidth: 1e30 }),
  }));
  return {
    ...plan,
    topology: { ...topology, devices, links, overhead: { ...topology.overhead, kernel: KERNEL } },
  };
}

/** What happened, as far as host and devices both tell of it, in the order of time. */
interface Event {
  readonly what: string;
  /** Seconds. */
  readonly time: number;
}

interface Told {
  readonly process: string;
  readonly thread: string;
  readonly name: string;
  readonly args: TraceArgs;
  readonly start: number;
  readonly end: number;
}

/** The host is done with a step that samples nothing while the last devices compute, so their slices tell other things. */
function eventsOf(told: readonly Told[]): readonly Event[] {
  return told
    .flatMap(({ process, thread, name, args, start, end }): Event[] => {
      if (thread === 'encode') return [{ what: `step ${String(args['step'])} begins`, time: start }];
      if (name === 'finish') return [{ what: `request ${String(args['request'])} ends`, time: start }];
      if (thread === 'copy')
        return [
          { what: `${process} ${name} ${String(args['sequence'])} is asked for`, time: start },
          { what: `${process} ${name} ${String(args['sequence'])} is done`, time: end },
        ];
      return [];
    })
    .map(({ what, time }) => ({ what, time: Number(time.toFixed(9)) }))
    .sort((a, b) => a.time - b.time || (a.what < b.what ? -1 : 1));
}

interface Ran {
  readonly events: readonly Event[];
  readonly arrivals: ReadonlyMap<string, number>;
  readonly bytes: Simulation['bytes'];
}

/** Weights that are in their place on a device. */
interface Placed {
  readonly transition: number;
  readonly device: string;
  /** A weight, or a layer. */
  readonly what: string;
  readonly time: number;
}

/** When the weights of each layer are all in their places, by transition, device and layer. */
function arrivals(placed: readonly Placed[]): ReadonlyMap<string, number> {
  const last = new Map<string, number>();
  for (const { transition, device, what, time } of placed) {
    const key = `${transition} ${device} ${/layers\.\d+/.exec(what)?.[0] ?? 'outside layers'}`;
    last.set(key, Math.max(time, last.get(key) ?? 0));
  }
  return last;
}

/** Counts the transitions of each device by the slices of its moves; tells of others which they belong to. */
function transitionCounter(): (device: string, name: string) => number | undefined {
  const begun = new Map<string, number>();
  return (device, name) => {
    if (/^(load|prefetch) /.test(name)) return undefined;
    const count = begun.get(device) ?? 0;
    if (!name.includes('->')) return count;
    begun.set(device, count + 1);
    return undefined;
  };
}

async function executed(plan: Plan, prompts: readonly number[], newTokens: number): Promise<Ran> {
  const { runtime } = compilePlan(plan);
  const devices = virtualDevices({ kernel: KERNEL, pages: PAGES });
  const told: Told[] = [];
  const placed: Placed[] = [];
  const transitionOf = transitionCounter();
  let began = 0;
  const tracer: Tracer = {
    begin({ process, thread }, name, args = {}) {
      const start = devices.now() - began;
      if (thread === 'weights' && name.includes('->')) transitionOf(process, name);
      const open: Slice = {
        child: () => open,
        flow: () => undefined,
        end: () => {
          told.push({ process, thread, name, args, start, end: devices.now() - began });
          if (thread !== 'weights' || name.includes('->')) return;
          const transition = transitionOf(process, name);
          if (transition === undefined) return;
          // What copies them into place stands behind what the device has been given.
          placed.push({ transition, device: process, what: name, time: devices.freeAt(process) - began });
        },
      };
      if (thread === 'requests') open.end();
      return thread === 'requests' ? { ...open, end: () => undefined } : open;
    },
    counter: () => undefined,
  };
  const engine = await devices.during(openEngine(runtime, { tracer, open: devices.open }));
  began = devices.now();
  submitRequests(
    engine,
    SHAPE.vocab,
    prompts.map((promptTokens) => ({ promptTokens, newTokens })),
  );
  await devices.during(engine.run());
  const { load: _load, weights: _weights, ...bytes } = engine.stats().bytes;
  await devices.during(engine.dispose());
  return { events: eventsOf(told), arrivals: arrivals(placed), bytes };
}

function simulated(plan: Plan, prompts: readonly number[], newTokens: number): Ran {
  const { runtime } = compilePlan(plan);
  const timeline = createTimeline();
  const requests = prompts.map((promptTokens) => ({ promptTokens, outputTokens: newTokens }));
  const engine = { ...FULCRUM_ENGINE, smallGemmLoss: false };
  const { bytes } = simulate(withoutPeers(runtime), plan, requests, { timeline, engine });
  const slices = timeline.slices().map(({ lane, args = {}, ...slice }) => ({ ...lane, ...slice, args }));
  const transitionOf = transitionCounter();
  const placed = slices.flatMap(({ process, thread, name, end }): readonly Placed[] => {
    const transition = thread === 'weights' ? transitionOf(process, name) : undefined;
    return transition === undefined ? [] : [{ transition, device: process, what: name, time: end }];
  });
  return { events: eventsOf(slices), arrivals: arrivals(placed), bytes };
}

const SHAPE = { layers: 4, hidden: 32, heads: 8, kvHeads: 4, headDim: 8, ffn: 48, vocab: 64, context: 256 };

/** Two stages that take turns on the same devices. */
function onOneSet(prefill: StageOptions['mesh'], decode: StageOptions['mesh']): PlanOptions {
  return {
    shape: SHAPE,
    stages: [
      { name: 'prefill', mesh: prefill, microbatchTokens: 48 },
      { name: 'decode', mesh: decode, batchRequests: 4 },
    ],
  };
}

/** KV of which a sequence has many chunks. */
const LARGE = {
  shape: { ...SHAPE, kvHeads: 8, headDim: 64, context: 8192 },
  deviceMemory: 2 ** 33,
  kv: { hostCapacity: 2 ** 33 },
};

/** Steps of several of these, or of less than one. */
const LONG = [100, 20, 130, 70, 33, 90, 61, 110, 40, 75];
it.each<[string, readonly number[], PlanOptions]>([
  [
    'prefill in a pipeline, decode on tp ranks',
    LONG,
    {
      shape: SHAPE,
      stages: [
        { name: 'prefill', mesh: { pp: 3 }, microbatchTokens: 48 },
        { name: 'decode', mesh: { tp: 2 }, devices: [3, 4], batchRequests: 4 },
      ],
    },
  ],
  [
    'prefill on tp ranks, decode in a pipeline',
    LONG,
    {
      shape: SHAPE,
      stages: [
        { name: 'prefill', mesh: { tp: 2 }, microbatchTokens: 48 },
        { name: 'decode', mesh: { pp: 2 }, devices: [2, 3], batchRequests: 4 },
      ],
    },
  ],
  [
    'a window over all layers',
    LONG,
    {
      shape: { ...SHAPE, sliding: { window: 40, layers: [0, 1, 2, 3] } },
      stages: [
        { name: 'prefill', mesh: { pp: 2 }, microbatchTokens: 48 },
        { name: 'decode', mesh: { pp: 2 }, devices: [2, 3], batchRequests: 4 },
      ],
    },
  ],
  [
    'one stage on one device',
    LONG,
    { shape: SHAPE, stages: [{ name: 'serve', mesh: {}, microbatchTokens: 48 }] },
  ],
  [
    'one stage in a pipeline',
    LONG,
    { shape: SHAPE, stages: [{ name: 'serve', mesh: { pp: 4 }, microbatchTokens: 48 }] },
  ],
  [
    'one stage on tp ranks',
    LONG,
    { shape: SHAPE, stages: [{ name: 'serve', mesh: { tp: 4 }, microbatchTokens: 48 }] },
  ],
  [
    'one stage of three replicas, of which prompts in parts are handed over at one moment',
    LONG,
    { shape: SHAPE, stages: [{ name: 'serve', mesh: { dp: 3 }, microbatchTokens: 32 }] },
  ],
  [
    'replicas that hand prompts over to one device',
    LONG,
    {
      shape: SHAPE,
      stages: [
        { name: 'prefill', mesh: { dp: 3 }, microbatchTokens: 64 },
        { name: 'decode', mesh: {}, devices: [3], batchRequests: 4 },
      ],
    },
  ],
  [
    'one stage of two pipelines of tp ranks',
    LONG,
    { shape: SHAPE, stages: [{ name: 'serve', mesh: { dp: 2, pp: 2, tp: 2 }, microbatchTokens: 48 }] },
  ],
  ['two stages that share a pipeline of tp ranks', LONG, onOneSet({ pp: 2, tp: 2 }, { pp: 2, tp: 2 })],
  [
    'tp ranks of which some have the same heads, on either side',
    LONG,
    {
      shape: { ...SHAPE, kvHeads: 2 },
      stages: [
        { name: 'prefill', mesh: { pp: 2, tp: 4 }, kvReplicas: 2, microbatchTokens: 48 },
        { name: 'decode', mesh: { dp: 2, tp: 2 }, devices: [8, 9, 10, 11], batchRequests: 2 },
      ],
    },
  ],
  [
    'devices that have nothing to move from a pipeline of tp ranks to two groups of them, in turns',
    LONG,
    { ...onOneSet({ pp: 2, tp: 2 }, { dp: 2, tp: 2 }), kv: { hostCapacity: 150_000 } },
  ],
  ['devices that change from a pipeline to tp ranks', LONG, onOneSet({ pp: 4 }, { tp: 4 })],
  ['devices that change from tp ranks to a pipeline', LONG, onOneSet({ tp: 4 }, { pp: 4 })],
  [
    'devices that change from a pipeline of tp ranks to two groups of them',
    LONG,
    onOneSet({ pp: 2, tp: 2 }, { dp: 2, tp: 2 }),
  ],
  [
    'pages that go in to several replicas at one moment, where host memory lets few prompts in',
    [19, 67, 19, 6, 57, 3, 24, 11, 3, 8, 52, 16, 14, 9],
    {
      shape: SHAPE,
      stages: [
        { name: 'prefill', mesh: { dp: 2, pp: 2 }, microbatchTokens: 32 },
        { name: 'decode', mesh: { dp: 4 }, batchRequests: 32 },
      ],
      kv: { hostCapacity: 300_000 },
    },
  ],
  [
    'moves of many chunks out of a pipeline',
    LONG.map((length) => 20 * length),
    {
      ...LARGE,
      shape: { ...LARGE.shape, context: 4096 },
      stages: [
        { name: 'prefill', mesh: { pp: 2 }, microbatchTokens: 1024 },
        { name: 'decode', mesh: { tp: 4 }, devices: [2, 3, 4, 5], batchRequests: 4 },
      ],
    },
  ],
  [
    'moves of more than the host writes ahead, beside steps',
    LONG.map((length) => 40 * length),
    {
      ...LARGE,
      stages: [
        { name: 'prefill', mesh: {}, microbatchTokens: 4096 },
        { name: 'decode', mesh: {}, devices: [1], batchRequests: 4 },
      ],
    },
  ],
  [
    'the same on devices that change stage',
    LONG.map((length) => 40 * length),
    {
      ...LARGE,
      stages: [
        { name: 'prefill', mesh: { pp: 2 }, microbatchTokens: 4096 },
        { name: 'decode', mesh: { tp: 2 }, batchRequests: 4 },
      ],
    },
  ],
])('%s: does what the executor does when it does it', async (_name, prompts, options) => {
  const plan = timed(makePlan(options));
  const { events, bytes } = await executed(plan, prompts, 5);
  expect(events.length).toBeGreaterThan(20);
  const simulation = simulated(plan, prompts, 5);
  expect(simulation.events).toEqual(events);
  expect(simulation.bytes).toEqual(bytes);
});

/** Those of a layer take no longer. */
const LAYER = 10 * KERNEL;

it.each<[string, StageOptions['mesh'], StageOptions['mesh']]>([
  ['tp ranks become a pipeline', { tp: 4 }, { pp: 4 }],
  ['a pipeline becomes tp ranks', { pp: 4 }, { tp: 4 }],
  ['a pipeline of tp ranks becomes tp ranks', { pp: 2, tp: 2 }, { tp: 4 }],
  ['tp ranks become a pipeline of tp ranks', { tp: 4 }, { pp: 2, tp: 2 }],
])('weights are written when the executor writes them: %s', async (_name, prefill, decode) => {
  // Little room for KV in host memory, so that stages take turns more often.
  const plan = timed(makePlan({ ...onOneSet(prefill, decode), kv: { hostCapacity: 150_000 } }));
  const [run, simulation] = [await executed(plan, LONG, 5), simulated(plan, LONG, 5)];
  const [expected, found] = [run.arrivals, simulation.arrivals];
  expect(simulation.events).toEqual(run.events);
  expect(expected.size).toBeGreaterThan(100);
  expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
  let equal = 0;
  for (const [key, time] of expected) {
    // Slots are filled in parts, on the clock byte by byte: what comes last of a layer may have the next one in its slot.
    expect(Math.abs(found.get(key)! - time), key).toBeLessThan(LAYER);
    if (Math.abs(found.get(key)! - time) < 1e-9) equal++;
  }
  expect(equal / expected.size).toBeGreaterThan(0.93);
});
