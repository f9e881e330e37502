/** The clock executor on plans small enough to know what must come out. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import type { EngineModel } from '../../../compiler/cost/engine-model.js';
import { COST_KINDS } from '../../../compiler/cost/program-cost.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import type { SimulatedRequest } from '../../../runtime/clock/simulation.js';
import { createTimeline, flatSlices, type TimedSlice } from '../../../runtime/clock/timeline.js';
import type { TransitionMode } from '../../../runtime/scheduler/types.js';
import { halfResident } from '../../compiler/support/half-resident.js';
import { makePlan } from '../../compiler/support/make-plan.js';
import { requestsOf, RESHARD } from './reshard-plan.js';
import { FREE_ENGINE, onLane, onTwoNodes, run, sharing, withFaster } from './run-plan.js';

/** Bytes per second of the links of plans made here. */
const LINK_BANDWIDTH = 5e9;

describe('simulate', () => {
  it('counts what a ring of ranks and a row of pipeline stages carry over each link', () => {
    const tensor = run({ stages: [{ name: 'serve', mesh: { tp: 4 } }] }, requestsOf(2, 5, 3));
    // Each rank gives the tensor away and takes the sum; over the ring it sends 2 (n - 1) / n of it.
    const ring = tensor.links.filter(({ direction }) => direction === 'out');
    expect(ring).toHaveLength(4);
    for (const { bytes, busy } of ring) {
      expect(bytes).toBeCloseTo(((tensor.bytes.allReduce / 8) * 2 * 3) / 4, 6);
      expect(busy).toBeCloseTo(bytes / LINK_BANDWIDTH, 12);
    }
    // Of a gather each rank gives its part and takes the whole, n parts; it sends all but one of them on.
    const gathering = run(
      { stages: [{ name: 'serve', mesh: { tp: 4 }, onTp: ['kv_heads'] }] },
      requestsOf(2, 5, 3),
    );
    expect(gathering.bytes.allReduce).toBe(0);
    for (const { bytes, busy } of gathering.links.filter(({ direction }) => direction === 'out')) {
      expect(bytes).toBeCloseTo((gathering.bytes.allGather / 4 / 5) * 3, 6);
      expect(busy).toBeCloseTo(bytes / LINK_BANDWIDTH, 12);
    }
    const pipeline = run({ stages: [{ name: 'serve', mesh: { pp: 4 } }] }, requestsOf(2, 5, 3));
    const out = pipeline.links.filter(({ direction, bytes }) => direction === 'out' && bytes > 0);
    expect(out.map(({ place }) => place)).toEqual(['gpu[0]', 'gpu[1]', 'gpu[2]']);
    expect(out.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(pipeline.bytes.send);
  });

  it('computes once what prompts begin with, copies what is left of it in a page, and counts both', () => {
    const stages = [{ name: 'serve', mesh: { tp: 2 }, microbatchTokens: 64, batchRequests: 8 }];
    const alike = (name: string, tokens: number): SimulatedRequest => ({
      promptTokens: 50,
      outputTokens: 4,
      prefix: { name, tokens },
    });
    // Pages have 16 tokens: 40 are two and a half, and 50 the whole prompt.
    const requests = [alike('a', 40), alike('a', 40), alike('a', 40), alike('b', 50), alike('b', 50)];
    const shared = run({ stages }, requests);
    const plain = run(
      { stages },
      requests.map(({ prefix: _, ...lengths }) => lengths),
    );
    expect([shared.tokens, plain.tokens]).toEqual([
      { prompt: 250, output: 20 },
      { prompt: 250, output: 20 },
    ]);
    expect(plain).toMatchObject({ reused: { device: 0, host: 0, disk: 0 }, copiedPages: 0 });
    // Of the last page of `b`, which has two tokens, too few are in common for a copy.
    expect(shared).toMatchObject({ reused: { device: 40 + 40 + 48, host: 0, disk: 0 }, copiedPages: 2 });
    expect(shared.makespan).toBeLessThan(plain.makespan);
  });

  it('moves what prompts begin with between tiers once', () => {
    const requests = requestsOf(6, 50, 4);
    const plain = run(RESHARD, requests);
    const prefix = { name: '', tokens: 48 };
    const shared = run(
      RESHARD,
      requests.map((each) => ({ ...each, prefix })),
    );
    // One page of four is each prompt's own.
    expect(shared.bytes.kvOut / plain.bytes.kvOut).toBeCloseTo(9 / 24, 12);
    expect(shared.bytes.kvIn).toBe((plain.bytes.kvIn * 9) / 24);
  });

  it('takes time for the pages it copies', () => {
    const lengths = { promptTokens: 24, outputTokens: 1 };
    const stages = [{ name: 'serve', mesh: {}, microbatchTokens: 64, batchRequests: 8 }];
    const prefix = { name: '', tokens: 24 };
    const { devices, copiedPages } = run(
      { stages },
      [lengths, lengths].map((each) => ({ ...each, prefix })),
    );
    const alone = run({ stages }, [lengths]);
    const behind = run({ stages }, [{ ...lengths, promptTokens: 1 }]);
    expect(copiedPages).toBe(1);
    const attention = (all: typeof devices): number => all[0]!.seconds.attention;
    expect(attention(devices)).toBeGreaterThan(attention(alone.devices) + attention(behind.devices));
  });

  it('tells idle time between steps from warm-up and tail', () => {
    const { devices, makespan } = run(
      { stages: [{ name: 'serve', mesh: { pp: 2 }, microbatchTokens: 16 }] },
      requestsOf(1, 16, 3),
    );
    // The second device warms up for one pass of the first, the first has nothing to do in the last of the second.
    for (const { idle, bubbles } of devices) {
      expect(bubbles).toBeGreaterThan(0);
      expect(bubbles).toBeLessThan(idle);
      expect(idle).toBeLessThan(makespan);
    }
  });

  it('takes as long as its steps where they follow each other', () => {
    const result = run({ stages: [{ name: 'serve', mesh: {} }] }, requestsOf(1, 5, 3));
    // The prompt, which gives the first token, and one step for each of the others.
    expect(result.steps).toBe(3);
    const [device] = result.devices;
    const busy = COST_KINDS.reduce((sum, kind) => sum + device!.seconds[kind], 0);
    expect(result.makespan).toBeCloseTo(busy, 12);
    expect(result.tokens).toEqual({ prompt: 5, output: 3 });
    expect(result.latency.completion).toBeCloseTo(result.makespan, 12);
    const first = result.makespan - 2 * result.latency.betweenTokens;
    expect(first).toBeGreaterThan(0);
    expect(first).toBeCloseTo(onLane(result, 0, 'queue')[0]!.end, 12);
  });

  it('overlaps the microbatches of a pipeline', () => {
    const stages = [
      { name: 'serve', mesh: { pp: 2 }, layerSplit: [2, 2], microbatchTokens: 16, batchRequests: 8 },
    ];
    const one = run({ stages }, requestsOf(1, 16, 1));
    const four = run({ stages }, requestsOf(4, 16, 1));
    // Four passes of two halves: five halves of time, were the halves equal; the second has the head too.
    expect(four.makespan).toBeLessThan(4 * one.makespan * 0.8);
    expect(four.makespan).toBeGreaterThan(2 * one.makespan);
  });

  it('lets exchanges of replicas wait for each other where they share a link', () => {
    const time = (devices: readonly number[], requests: number): number => {
      const stages = [{ name: 'serve', mesh: { dp: 2, tp: 2 }, devices }];
      const options = { stages, shape: { hidden: 256 }, kv: { hostCapacity: null } };
      return run(options, requestsOf(requests, 30, 1), FREE_ENGINE, 'dataflow', onTwoNodes).makespan;
    };
    // Ranks of each replica in one node, then in both: there and back the link of the nodes has all of both replicas.
    expect(time([0, 1, 2, 3], 2)).toBeCloseTo(time([0, 1, 2, 3], 1), 12);
    expect(time([0, 2, 1, 3], 2)).toBeGreaterThan(1.8 * time([0, 2, 1, 3], 1));
  });

  it('slows kernels on devices that share a processor, and nothing else', () => {
    const stages = [{ name: 'serve', mesh: { tp: 4 } }];
    const alone = run({ stages }, requestsOf(1, 30, 4));
    const shared = run({ stages }, requestsOf(1, 30, 4), FREE_ENGINE, 'dataflow', sharing({ 4: 0.25 }));
    for (const kind of COST_KINDS)
      expect(shared.devices[0]!.seconds[kind]).toBeCloseTo(
        alone.devices[0]!.seconds[kind] * (kind.startsWith('all_') ? 1 : 4),
        12,
      );
    const inner = onLane(shared, 0, 'queue').map(({ end, within }) => [within!().at(-1)!.end, end] as const);
    for (const [last, end] of inner) expect(last).toBeCloseTo(end, 12);
  });

  it('slows what is handed on while the other devices of a processor compute', () => {
    const stages = [{ name: 'serve', mesh: { pp: 2 } }];
    const sent = (requests: number, change?: (plan: Plan) => Plan): number =>
      run({ stages }, requestsOf(requests, 30, 4), FREE_ENGINE, 'dataflow', change).devices[0]!.seconds.send;
    const shared = sharing({ 2: 0.5 });
    expect(sent(1)).toBeGreaterThan(0);
    // Of one sequence nothing is computed while its activations are on their way.
    expect(sent(1, shared)).toBeCloseTo(sent(1), 12);
    expect(sent(12, shared)).toBeGreaterThan(1.05 * sent(12));
    expect(sent(12, shared)).toBeLessThanOrEqual(2 * sent(12) * (1 + 1e-9));
  });

  it('keeps KV over time, and no slices but those that are wanted', () => {
    const plan = makePlan(RESHARD);
    const timeline = createTimeline(({ process }) => process === 'gpu[1]');
    const { kv } = simulate(compilePlan(plan).runtime, plan, requestsOf(8, 20, 5), { timeline });
    expect(kv.length).toBeGreaterThan(2);
    const places = timeline.slices().map(({ lane }) => `${lane.process} ${lane.thread}`);
    expect(new Set(places)).toEqual(
      new Set(['gpu[1] queue', 'gpu[1] link', 'gpu[1] copy', 'gpu[1] weights']),
    );
  });

  it('counts requests and KV as they are once the scheduler has given out what there is to do, as a run does', () => {
    const plan = makePlan({ stages: [{ name: 'serve', mesh: {} }] });
    const timeline = createTimeline(() => false);
    const { kv, steps } = simulate(compilePlan(plan).runtime, plan, requestsOf(3, 8, 4), { timeline });
    const places = kv.map(({ waiting, prefilling, running }) => [waiting, prefilling, running]);
    expect(places).toEqual([[0, 3, 0], ...Array.from({ length: steps - 1 }, () => [0, 0, 3]), [0, 0, 0]]);
    expect(kv[0]!.time).toBe(0);
    expect(kv[0]!.device).toBeGreaterThan(0);
  });

  it.each([100, 1200, 2000])('keeps KV over time up to the end of a run of %i requests', (count) => {
    const plan = makePlan({ stages: [{ name: 'serve', mesh: {} }] });
    const requests = Array.from({ length: count }, (_, i) => ({
      promptTokens: 20 + (i % 7),
      outputTokens: 5 + (i % 11),
    }));
    const timeline = createTimeline(() => false);
    const { kv, makespan } = simulate(compilePlan(plan).runtime, plan, requests, { timeline });
    expect(kv.length).toBeLessThanOrEqual(1024);
    expect(kv.at(-1)).toMatchObject({ time: makespan, waiting: 0, prefilling: 0, running: 0 });
    const times = kv.map(({ time }) => time);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it('adds host time to every step', () => {
    const plan = makePlan({ stages: [{ name: 'serve', mesh: {} }] });
    const slow = {
      ...plan,
      topology: { ...plan.topology, overhead: { step: 0.5, layer: 0, request: 0.25, kernel: 0 } },
    };
    const { runtime } = compilePlan(slow);
    const ideal = simulate(runtime, slow, requestsOf(1, 4, 4), { engine: FREE_ENGINE });
    const real = simulate(runtime, slow, requestsOf(1, 4, 4), {
      engine: { ...FREE_ENGINE, hostOverhead: true },
    });
    expect(real.makespan - ideal.makespan).toBeCloseTo(4 * 0.75, 9);
  });

  it('adds handing kernels over and reading samples to every step, and shows both', () => {
    const plan = makePlan({ stages: [{ name: 'serve', mesh: { tp: 2 } }] });
    const { runtime } = compilePlan(plan);
    const runs = 1 + runtime.stages[0]!.programs[0]!.ops.filter(({ op }) => op === 'collective').length;
    const of = (submit: number, read: number) => {
      const overhead = { ...plan.topology.overhead, submit: { 2: submit }, read: { 2: read } };
      const timeline = createTimeline();
      const engine = { ...FREE_ENGINE, hostOverhead: true };
      const slow = { ...plan, topology: { ...plan.topology, overhead } };
      const { makespan, steps } = simulate(runtime, slow, requestsOf(1, 4, 4), { engine, timeline });
      return { makespan, steps, timeline };
    };
    const [none, once, twice] = [of(0, 0), of(1e-3, 5e-3), of(2e-3, 10e-3)];
    const added = none.steps * (runs * 1e-3 + 5e-3);
    expect(none.steps).toBe(4);
    expect(once.makespan - none.makespan).toBeCloseTo(added, 9);
    expect(twice.makespan - none.makespan).toBeCloseTo(2 * added, 9);
    const reads = [...flatSlices(once.timeline)].filter(({ name }) => name === 'read samples');
    expect(reads).toHaveLength(2 * none.steps);
    for (const { start, end } of reads) expect(end - start).toBeCloseTo(5e-3, 9);
  });

  it('has groups that compute at once wait for the host, which records kernels for one at a time', () => {
    const engine = { ...FREE_ENGINE, hostOverhead: true };
    const makespan = (pp: number, encode: number, count: number): number => {
      const plan = makePlan({ stages: [{ name: 'serve', mesh: { pp }, batchRequests: 8 }] });
      const overhead = { ...plan.topology.overhead, kernel: 1e-6, submit: { 1: 1e-3 }, encode };
      const slow = { ...plan, topology: { ...plan.topology, overhead } };
      return simulate(compilePlan(slow).runtime, slow, requestsOf(count, 4, 8), { engine }).makespan;
    };
    // It is a part of what a submit takes, so that one group, or one step at a time, takes no longer for it.
    expect(makespan(1, 40e-6, 8)).toBeCloseTo(makespan(1, 0, 8), 9);
    expect(makespan(4, 40e-6, 1)).toBeCloseTo(makespan(4, 0, 1), 9);
    const [free, some, most] = [0, 10e-6, 40e-6].map((encode) => makespan(4, encode, 8));
    expect(some! / free!).toBeGreaterThan(1.01);
    expect(most! / free!).toBeGreaterThan(some! / free!);
    expect(most! / free!).toBeLessThan(4);
  });

  it('shows the host choosing tokens at the end of every step that samples', () => {
    const choosing = (plan: Plan): Plan => ({
      ...plan,
      topology: { ...plan.topology, overhead: { ...plan.topology.overhead, choose: 1e-3 } },
    });
    const engine = { ...FREE_ENGINE, hostOverhead: true };
    const { slices } = run(
      { stages: [{ name: 'serve', mesh: { pp: 2 } }] },
      requestsOf(3, 4, 4),
      engine,
      'dataflow',
      choosing,
    );
    const chosen = slices.filter(({ lane, name }) => lane.process === 'host' && name === 'sample');
    expect(chosen.reduce((sum, { start, end }) => sum + end - start, 0)).toBeCloseTo(3 * 4 * 1e-3, 9);
    const ends = new Set(slices.filter(({ lane }) => lane.process === 'gpu[1]').map(({ end }) => end));
    for (const { end } of chosen) expect(ends).toContain(end);
    expect(
      run({ stages: [{ name: 'serve', mesh: {} }] }, requestsOf(3, 4, 4), engine).slices.map(
        ({ name }) => name,
      ),
    ).not.toContain('sample');
  });

  it('moves what the compiler said a transition moves', () => {
    const plan = makePlan(RESHARD);
    const { runtime, transitions } = compilePlan(plan);
    const result = simulate(runtime, plan, requestsOf(6, 20, 10));
    const { upload, peer } = transitions.weights.find(({ from }) => from === 'prefill')!.bytes;
    expect(result.transitions.count).toBe(1);
    expect(result.transitions.bytes).toBe(upload + peer);
    const tokens = 6 * 32;
    expect(result.bytes.kvOut).toBe(tokens * transitions.kv[0]!.bytesPerToken.out);
    expect(result.bytes.kvIn).toBe(tokens * transitions.kv[0]!.bytesPerToken.in);
  });

  it('loads every weight of the next stage when told to', () => {
    const plan = makePlan(RESHARD);
    const { runtime } = compilePlan(plan);
    const engine = { ...FREE_ENGINE, fullReload: true };
    const result = simulate(runtime, plan, requestsOf(6, 20, 10), { engine });
    const decode = runtime.stages.find(({ name }) => name === 'decode')!;
    const all = decode.shards.flatMap(({ weights }) => weights).reduce((sum, { bytes }) => sum + bytes, 0);
    expect(result.transitions.bytes).toBe(all);
  });

  it('counts layers that stay in both shardings only for engines that load everything', () => {
    const plan = halfResident(makePlan({ ...RESHARD, shape: { layers: 8 } }))!;
    const { runtime, transitions } = compilePlan(plan);
    expect(transitions.residence!.layers!.length).toBeGreaterThan(0);
    const moved = (engine: EngineModel): number =>
      simulate(runtime, plan, requestsOf(6, 20, 10), { engine }).transitions.bytes;
    const { upload, peer } = transitions.weights.find(({ from }) => from === 'prefill')!.bytes;
    expect(moved(FREE_ENGINE)).toBe(upload + peer);
    const inTurns = compilePlan({ ...plan, residence: 'switch' }).runtime;
    const decode = inTurns.stages.find(({ name }) => name === 'decode')!;
    const all = decode.shards.flatMap(({ weights }) => weights).reduce((sum, { bytes }) => sum + bytes, 0);
    expect(moved({ ...FREE_ENGINE, fullReload: true })).toBe(all);
  });

  it('shows what is on a link as long as it is, and moves from when they are asked for', () => {
    const result = run(RESHARD, requestsOf(40, 20, 10));
    const seconds = (slices: readonly TimedSlice[]): number =>
      slices.reduce((sum, { start, end }) => sum + end - start, 0);
    const bytes = (slices: readonly TimedSlice[]): number =>
      slices.reduce((sum, { args }) => sum + Number(args!['bytes']), 0);
    for (const { id, pages } of result.devices) {
      const link = onLane(result, id, 'link');
      const named = (name: string): readonly TimedSlice[] =>
        link.filter((slice) => slice.name.startsWith(name));
      const asked = (kind: string): readonly TimedSlice[] =>
        onLane(result, id, 'copy').filter(({ name }) => name === kind);
      expect(bytes(named('KV out'))).toBe(bytes(asked('page_out')));
      expect(bytes(named('KV in'))).toBe(bytes(asked('page_in')));
      expect(bytes(named('KV out'))).toBeGreaterThan(0);
      // `pages` leaves out those that go beside a step at an exchange.
      expect(seconds(named('KV '))).toBeGreaterThanOrEqual(pages - 1e-12);
      expect(seconds(named('KV '))).toBeLessThan(1.1 * pages);
      const ahead = named('weights ahead prefill -> decode');
      const [prefetch] = onLane(result, id, 'weights').filter(({ name }) => name.startsWith('prefetch'));
      expect(ahead.length).toBeGreaterThan(0);
      expect(prefetch!.args!['bytes']).toBe(bytes(ahead.filter(({ end }) => end <= prefetch!.end)));
      expect(seconds(ahead)).toBeLessThan(prefetch!.end - prefetch!.start);
    }
  });

  it('names steps by what they do, and says how many rows of which kind those have that do both', () => {
    const result = run({ stages: [{ name: 'serve', mesh: {}, batchRequests: 4 }] }, requestsOf(9, 20, 10));
    const steps = onLane(result, 0, 'queue');
    expect([...new Set(steps.map(({ name }) => name))].toSorted()).toEqual([
      'serve decode',
      'serve prefill',
      'serve prefill + decode',
    ]);
    for (const { name, args } of steps) {
      const { rows, sequences, prefill, decode } = args!;
      if (name !== 'serve prefill + decode') expect([prefill, decode]).toEqual([undefined, undefined]);
      else expect(Number(prefill) + Number(decode)).toBe(rows);
      // Prompts have more than a row here.
      if (name === 'serve decode') expect(rows).toBe(sequences);
    }
    const both = steps.filter(({ name }) => name.endsWith(' + decode'));
    expect(both.every(({ args }) => Number(args!['prefill']) > 0 && Number(args!['decode']) > 0)).toBe(true);
  });

  it('begins a device’s moves behind its old steps, and layers behind their weights', () => {
    const result = run(RESHARD, requestsOf(6, 20, 10));
    for (const device of [0, 1, 2, 3]) {
      const moves = onLane(result, device, 'weights').filter(({ name }) => name.startsWith('layers'));
      const steps = onLane(result, device, 'queue');
      const prefills = steps.filter(({ name }) => name === 'prefill prefill');
      const begun = Math.min(...moves.map(({ start }) => start));
      expect(begun).toBeGreaterThanOrEqual(Math.max(...prefills.map(({ end }) => end)));
      const decodes = steps.filter(({ name }) => name === 'decode decode');
      const arrived = Math.max(...moves.map(({ end }) => end));
      expect(Math.min(...decodes.map(({ end }) => end))).toBeGreaterThan(arrived);
    }
  });

  it('is done sooner with dataflow than with barriers', () => {
    const time = (mode: TransitionMode): number =>
      run(RESHARD, requestsOf(6, 20, 10), FREE_ENGINE, mode).makespan;
    expect(time('dataflow')).toBeLessThan(time('barrier'));
  });

  it('deals sequences to virtual engines', () => {
    const stages = [{ name: 'serve', mesh: { pp: 2 }, microbatchTokens: 16, batchRequests: 8 }];
    const engine = { ...FREE_ENGINE, virtualEngines: true };
    // One sequence of the two is much longer: its engine goes on alone, at half of the pipeline.
    const uneven = [...requestsOf(1, 8, 2), ...requestsOf(1, 8, 40)];
    const result = run({ stages }, uneven, engine);
    expect(result.requests).toEqual({ finished: 2, rejected: 0, cut: 0 });
    expect(result.tokens.output).toBe(42);
  });

  it('deals them as if those that nothing has room for had never come', () => {
    const stages = [{ name: 'serve', mesh: { pp: 2 }, microbatchTokens: 16, batchRequests: 8 }];
    const engine = { ...FREE_ENGINE, virtualEngines: true };
    const fitting = [4, 40, 4, 40].flatMap((outputTokens) => requestsOf(1, 8, outputTokens));
    const [first, ...others] = fitting;
    const tooLong = { promptTokens: 1e6, outputTokens: 2 };
    const result = run({ stages }, [first!, tooLong, ...others], engine);
    expect(result.requests).toEqual({ finished: 4, rejected: 1, cut: 0 });
    expect(result.makespan).toBe(run({ stages }, fitting, engine).makespan);
  });

  it('counts answers that end early because there is no more room', () => {
    const stages = [{ name: 'serve', mesh: {}, microbatchTokens: 16, batchRequests: 4 }];
    const wanted = [
      { promptTokens: 10, outputTokens: 1e15 },
      { promptTokens: 10, outputTokens: 22 },
      { promptTokens: 40, outputTokens: 50 },
      { promptTokens: 10, outputTokens: 2, cut: true } as const,
    ];
    const result = run({ stages, shape: { context: 32 } }, wanted);
    // The third is rejected: its prompt alone is longer than the context.
    expect(result.requests).toEqual({ finished: 3, rejected: 1, cut: 2 });
    expect(result.tokens.output).toBe(22 + 22 + 2);
  });

  it('rejects a prompt that is too long whatever it begins with', () => {
    const stages = [{ name: 'serve', mesh: {}, microbatchTokens: 16, batchRequests: 4 }];
    const long = { promptTokens: 1e12, outputTokens: 2, prefix: { name: '', tokens: 1e12 } };
    const result = run({ stages }, [long, ...requestsOf(1, 8, 2)]);
    expect(result.requests).toEqual({ finished: 1, rejected: 1, cut: 0 });
  });

  it('runs every request, accounts for all time of every device and never runs two things at once', () => {
    const request = fc.record({
      promptTokens: fc.integer({ min: 1, max: 60 }),
      outputTokens: fc.integer({ min: 1, max: 20 }),
    });
    const mesh = fc.constantFrom({ pp: 4 }, { tp: 4 }, { pp: 2, tp: 2 }, { dp: 2, tp: 2 }, { dp: 2, pp: 2 });
    fc.assert(
      fc.property(
        fc.array(request, { minLength: 1, maxLength: 12 }),
        mesh,
        mesh,
        fc.constantFrom<TransitionMode>('dataflow', 'barrier'),
        fc.boolean(),
        // Links so slow that what crosses them decides.
        fc.constantFrom(undefined, 2e6),
        fc.constantFrom(undefined, { 2: 0.6, 4: 0.3 }),
        fc.constantFrom([], [], [1, 2]),
        (requests, prefill, decode, transitions, copyEngines, peerBandwidth, shared, faster) => {
          const result = run(
            {
              ...RESHARD,
              ...(peerBandwidth !== undefined && { peerBandwidth }),
              stages: [
                { name: 'prefill', mesh: prefill, microbatchTokens: 32 },
                { name: 'decode', mesh: decode, batchRequests: 4 },
              ],
            },
            requests,
            { ...FREE_ENGINE, copyEngines },
            transitions,
            (plan) => withFaster(faster, 8)(sharing(shared)(plan)),
          );
          expect(result.requests).toEqual({ finished: requests.length, rejected: 0, cut: 0 });
          const sum = (pick: (each: SimulatedRequest) => number): number =>
            requests.reduce((total, each) => total + pick(each), 0);
          expect(result.tokens).toEqual({
            prompt: sum((each) => each.promptTokens),
            output: sum((each) => each.outputTokens),
          });
          const last = Math.max(...result.slices.map(({ end }) => end));
          for (const { bytes, busy } of result.links) {
            expect(busy).toBeLessThanOrEqual(last * (1 + 1e-9));
            expect(bytes === 0).toBe(busy === 0);
          }
          const over = (wanted: string, direction: string): number =>
            result.links
              .filter((lane) => lane.link === wanted && lane.direction === direction)
              .reduce((total, { bytes }) => total + bytes, 0);
          expect(over('gpu <-> host', 'out')).toBeCloseTo(result.bytes.kvOut, 3);
          expect(over('gpu <-> host', 'in')).toBeCloseTo(result.bytes.kvIn + result.transitions.bytes, 3);
          expect(over('gpu <-> gpu', 'in')).toBeCloseTo(over('gpu <-> gpu', 'out'), 3);
          for (const { device, host, disk } of result.kv)
            for (const part of [device, host, disk]) {
              expect(part).toBeGreaterThanOrEqual(0);
              expect(part).toBeLessThanOrEqual(1);
            }
          const senders = new Set(
            result.graph.stages.flatMap(({ mesh: { pp: groups }, ranks }) =>
              ranks.filter(({ pp }) => pp < groups - 1).map(({ device }) => device),
            ),
          );
          result.devices.forEach(({ seconds, pages, exposedTransition, idle, bubbles, peak }, i) => {
            if (!senders.has(result.graph.devices[i]!.id)) expect(seconds.send).toBe(0);
            expect(bubbles).toBeLessThanOrEqual(idle);
            // Or else what sums are off by would show as time.
            for (const each of [idle, bubbles])
              expect(each === 0 || each > 1e-10 * result.makespan).toBe(true);
            expect(peak.weights + peak.workspace + peak.kv).toBeLessThanOrEqual(peak.total);
            expect(peak.total).toBe(result.graph.devices[i]!.peak.total);
            const all = COST_KINDS.reduce((total, kind) => total + seconds[kind], 0);
            const parts = (all + pages + exposedTransition + idle) / result.makespan;
            expect(all).toBeLessThanOrEqual(result.makespan * (1 + 1e-9));
            // Copies that run beside kernels take their own time.
            if (copyEngines) expect(parts).toBeGreaterThan(1 - 1e-9);
            else expect(parts).toBeCloseTo(1, 9);
          });
          for (const device of [0, 1, 2, 3]) {
            const steps = onLane(result, device, 'queue').toSorted((a, b) => a.start - b.start);
            steps
              .slice(1)
              .forEach((step, i) => expect(step.start).toBeGreaterThanOrEqual(steps[i]!.end - 1e-12));
          }
        },
      ),
      {
        numRuns: 25,
        // KV comes while its device waits for weights.
        examples: [
          [
            [{ promptTokens: 1, outputTokens: 2 }],
            { tp: 4 },
            { dp: 2, tp: 2 },
            'dataflow',
            false,
            undefined,
            undefined,
            [],
          ],
          // A page move holds up a step of a group that hands nothing on.
          [
            [
              { promptTokens: 1, outputTokens: 2 },
              { promptTokens: 16, outputTokens: 1 },
              { promptTokens: 21, outputTokens: 1 },
            ],
            { tp: 4 },
            { pp: 4 },
            'dataflow',
            false,
            2e6,
            { 2: 0.6, 4: 0.3 },
            [],
          ],
        ],
      },
    );
  });
});
