/** The timeline of a re-sharding run: what is on it, and that moves overlap the steps they may overlap. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileHost } from '../../runtime/file-host.js';
import { checkFile } from '../../compiler/check/check-file.js';
import { compilePlan, type CompileResult } from '../../compiler/compile.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { compiledFigure } from '../../compiler/passes/expectations.js';
import type { Bound } from '../../compiler/passes/judge-expectation.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { simulate } from '../../runtime/clock/simulate.js';
import { createTimeline, replay } from '../../runtime/clock/timeline.js';
import { judgeObserved } from '../../runtime/expectations/judge-observed.js';
import { observeTrace } from '../../runtime/expectations/observed.js';
import { compareCategories } from '../../runtime/trace/categories.js';
import { readTraceFile } from '../../runtime/trace/read-trace.js';
import type { ReadTrace } from '../../runtime/trace/slices.js';
import { openTraceFile } from '../../runtime/trace/trace-file.js';
import type { Tracer } from '../../runtime/trace/tracer.js';
import { end, expectWellFormed, readTrace } from '../fixtures/trace-events.js';
import type { Trace, TraceSlice } from '../fixtures/trace-events.js';
import { CLERK } from './support/clerk.js';
import { generate } from './support/generate.js';

/** More than the pipeline takes at once, so that the switch to decode is announced before it is made. */
const PROMPTS = 6;
const PROMPT_TOKENS = 30;
const STEP_TOKENS = 32;
let folder = '';
let trace: Trace;
let simulated: Trace;
let apart: ReadTrace;
let graph: RuntimeGraph;
let compiled: CompileResult;
let clerk: Plan;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fulcrum-trace-'));
  const plan = checkFile(fileHost(), 'plans/clerk.plan').plans.find(({ name }) => name === 'reshard')!;
  clerk = plan;
  const stages = plan.stages.map((stage) => ({ ...stage, microbatchTokens: STEP_TOKENS }));
  compiled = compilePlan({ ...plan, stages });
  graph = compiled.runtime;
  const prompts = Array.from({ length: PROMPTS }, (_, i) =>
    Array.from({ length: PROMPT_TOKENS }, (_, j) => 40 + i + j),
  );
  trace = await traced('run.json', undefined, (tracer) =>
    generate(graph, CLERK, prompts, { maxNewTokens: 4, stopIds: [], engine: { tracer } }),
  );
  let milliseconds = 0;
  const timeline = createTimeline();
  const lengths = prompts.map(({ length }) => ({ promptTokens: length, outputTokens: 4 }));
  simulate(graph, plan, lengths, { timeline });
  simulated = await traced(
    'simulated.json',
    () => milliseconds,
    (tracer) => replay(timeline, tracer, (seconds) => (milliseconds = 1000 * seconds)),
  );
  await traced(
    'apart.json',
    undefined,
    (tracer) => generate(graph, CLERK, prompts, { maxNewTokens: 4, stopIds: [], engine: { tracer } }),
    true,
  );
  const read = readTraceFile(join(folder, 'apart.json'));
  if (read.kind === 'trace') apart = read.trace;
});

/** The trace of what `work` tells a tracer. */
async function traced(
  file: string,
  now: (() => number) | undefined,
  work: (tracer: Tracer) => unknown,
  apart = false,
): Promise<Trace> {
  const path = join(folder, file);
  const tracer = openTraceFile(path, {
    describe: ({ file: plan, span }) => `${plan}:${span.start}`,
    about: {},
    onBroken: (reason) => {
      throw new Error(reason);
    },
    ...(now && { now }),
    apart,
  });
  await work(tracer);
  tracer.close();
  return readTrace(path);
}

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const named = (pattern: RegExp): readonly TraceSlice[] =>
  trace.slices.filter(({ name }) => pattern.test(name));
const devices = (slices: readonly TraceSlice[]): string[] =>
  [...new Set(slices.map((slice) => slice.process))].sort();

describe('the trace of a re-sharding run', () => {
  it('is well-formed and has lanes for every device, the host and the disk', () => {
    expectWellFormed(trace);
    const gpus = [0, 1, 2, 3].map((i) => `gpu[${i}]`);
    expect(devices(trace.slices)).toEqual(['disk', ...gpus, 'host']);
    const lanes = new Set(trace.slices.map(({ process, thread }) => `${process} ${thread}`));
    for (const gpu of gpus) {
      for (const thread of ['queue', 'copy', 'weights']) expect(lanes).toContain(`${gpu} ${thread}`);
    }
    for (const thread of ['schedule', 'encode', 'sample', 'requests'])
      expect(lanes).toContain(`host ${thread}`);
  });

  it('names the line of the plan behind every slice, of the run and of its simulation', () => {
    for (const slices of [trace.slices, simulated.slices, apart.slices]) {
      const without = slices.filter(({ args = {} }) => args['origin'] === undefined);
      expect(without.map(({ process, thread, name }) => `${process} ${thread}: ${name}`)).toEqual([]);
    }
    const clerkText = readFileSync('plans/clerk.plan', 'utf8');
    const causes = new Map(trace.slices.map(({ name, args }) => [name, args!['origin']]));
    const lines = ['read weights', 'arrive', 'schedule', 'finish'].map((name) => causes.get(name));
    const at = (text: string): unknown => expect.stringContaining(`:${clerkText.indexOf(text)}`) as unknown;
    const flow = at('flow requests');
    expect(lines).toEqual([at('"./models/clerk"'), flow, flow, flow]);
  });

  it('shows steps of both stages on every rank, with what they exchange and where the plan asks for it', () => {
    const gpus = [0, 1, 2, 3].map((i) => `gpu[${i}]`);
    const prefills = named(/^prefill prefill$/);
    const decodes = named(/^decode decode$/);
    expect(devices(prefills)).toEqual(gpus);
    expect(devices(decodes)).toEqual(gpus);
    expect(new Set(prefills.map(({ args }) => args!['pp']))).toEqual(new Set([0, 1, 2, 3]));
    expect(new Set(decodes.map(({ args }) => args!['tp']))).toEqual(new Set([0, 1, 2, 3]));
    for (const { args } of [...prefills, ...decodes]) {
      expect(args!['origin']).toMatch(/clerk\.plan:\d+$/);
      expect(args!['mesh']).toMatch(/^dp 1, pp \d, tp \d$/);
    }
    for (const name of ['send', 'recv', 'all_reduce tp']) {
      const found = trace.slices.filter((slice) => slice.name === name);
      expect(found.length).toBeGreaterThan(0);
      expect(found[0]!.args!['origin']).toMatch(/clerk\.plan:\d+$/);
    }
  });

  it('shows pages leave and come back, and the requests that wait and run', () => {
    expect(named(/^page_out$/).length).toBeGreaterThan(0);
    expect(named(/^page_in$/).length).toBeGreaterThan(0);
    const counters = new Set(trace.events.filter(({ ph }) => ph === 'C').map(({ name }) => name));
    expect(counters).toEqual(new Set(['requests', 'KV pages in use', 'prompt tokens reused']));
  });

  it('follows every request from arrival through both stages to its end', () => {
    for (let request = 0; request < PROMPTS; request++) {
      const flow = trace.events.filter(({ id, ph }) => id === request && 'stf'.includes(ph));
      expect(flow.map(({ ph }) => ph).join('')).toBe('sttf');
    }
  });

  it('shows weights of the next stage move while other devices finish the old one', () => {
    const transitions = named(/^prefill -> decode$/).filter(({ thread }) => thread.startsWith('weights'));
    expect(devices(transitions)).toHaveLength(4);
    const weights = named(/^layers\.\d+\./);
    expect(devices(weights)).toHaveLength(4);
    for (const { args } of weights) expect(args!['bytes']).toBeGreaterThan(0);
    const overlapping = named(/^prefill prefill$/).filter((step) =>
      weights.some((move) => move.pid !== step.pid && move.ts < end(step) && step.ts < end(move)),
    );
    expect(overlapping.length).toBeGreaterThan(0);
  });

  it('shows weights of the next stage uploaded while the same device computes the old one', () => {
    const prefetches = named(/^prefetch prefill -> decode$/);
    expect(devices(prefetches)).toHaveLength(4);
    for (const ahead of prefetches) {
      expect(ahead.args!['bytes']).toBeGreaterThan(0);
      const [move] = named(/^prefill -> decode$/).filter(({ pid }) => pid === ahead.pid);
      expect(end(ahead)).toBeLessThanOrEqual(move!.ts);
      const beside = named(/^prefill prefill$/).filter(
        (step) => step.pid === ahead.pid && ahead.ts < end(step) && step.ts < end(ahead),
      );
      expect(beside.length).toBeGreaterThan(0);
    }
  });
});

describe('what the trace tells of the plan', () => {
  const bound = (rest: Partial<Bound> & Pick<Bound, 'measure'>): Bound => ({
    kind: 'bound',
    op: '==',
    limit: 0,
    origin: { file: 'x.plan', span: { start: 0, end: 1 } },
    ...rest,
  });
  it('is what the compiler said of it', () => {
    const read = readTraceFile(join(folder, 'run.json'));
    const observed = read.kind === 'trace' ? observeTrace(graph, read.trace) : read.why;
    if (typeof observed === 'string') throw new Error(observed);
    const edge = { from: 'prefill', to: 'decode' };
    const figures = [
      bound({ measure: 'collectives', stage: 'prefill', per: 'step' }),
      bound({ measure: 'collectives', stage: 'decode', per: 'layer' }),
      bound({ measure: 'collectives', stage: 'decode', per: 'step' }),
      bound({ measure: 'bytes', edge, per: 'token' }),
      // What nothing ever takes the place of is uploaded with the first load and stays.
      bound({ measure: 'bytes', edge, per: 'transition', op: '<=' }),
    ].map((each) => ({ ...each, limit: compiledFigure(each, graph, compiled.transitions)! }));
    const { origin } = figures[0]!;
    const expectations = [...figures, { kind: 'never', op: 'send', stage: 'decode', origin } as const];
    const judged = judgeObserved(
      { plan: { ...clerk, expectations }, runtime: graph, transitions: compiled.transitions },
      observed,
      { seen: '', isOf: () => true },
    );
    expect(judged.map((each) => ('figure' in each ? `${each.kind} ${each.figure}` : each.why))).toEqual(
      judged.map(() => expect.stringMatching(/^kept /) as string),
    );
    expect(observed.transitions.count).toBe(1);
  });
});

describe('the trace of a run whose stages have devices of their own', () => {
  let split: Trace;
  beforeAll(async () => {
    const plan = checkFile(fileHost(), 'plans/clerk.plan').plans.find(({ name }) => name === 'split')!;
    const stages = plan.stages.map((stage) => ({ ...stage, microbatchTokens: STEP_TOKENS }));
    const prompts = Array.from({ length: 12 }, (_, i) =>
      Array.from({ length: PROMPT_TOKENS }, (_, j) => 40 + i + j),
    );
    split = await traced('split.json', undefined, (tracer) =>
      generate(compilePlan({ ...plan, stages }).runtime, CLERK, prompts, {
        maxNewTokens: 16,
        stopIds: [],
        engine: { tracer },
      }),
    );
  });
  /** Moves of pages and steps of the devices that they are on. */
  const pairs = (move: string, step: string): (readonly [move: TraceSlice, step: TraceSlice])[] =>
    split.slices
      .filter(({ name }) => name === move)
      .flatMap((moved) =>
        split.slices
          .filter(({ pid, name }) => pid === moved.pid && name === step)
          .map((each) => [moved, each] as const),
      );

  it('shows steps under way, and begun, while pages leave the same device', () => {
    const all = pairs('page_out', 'prefill prefill');
    const beside = all.filter(([out, step]) => out.ts < end(step) && step.ts < end(out));
    expect(devices(beside.map(([out]) => out))).toEqual(['gpu[0]', 'gpu[1]']);
    const begun = all.filter(([out, step]) => out.ts <= step.ts && step.ts < end(out));
    expect(devices(begun.map(([out]) => out))).toContain('gpu[0]');
  });

  it('shows pages submitted to a device while a step of it is under way', () => {
    const beside = pairs('page_in', 'decode decode').filter(
      ([moved, step]) => step.ts <= moved.ts && moved.ts < end(step),
    );
    expect(devices(beside.map(([moved]) => moved))).toEqual(['gpu[2]', 'gpu[3]']);
  });
});

/** What is on which lane: lanes without the numbers of their rows, weights by their layer. */
function shapeOf({ slices }: Trace): ReadonlySet<string> {
  return new Set(
    slices.map(({ process, thread, name }) => {
      const weight = /^layers\.\d+/.exec(name)?.[0];
      return `${process} / ${thread.replace(/ \d+$/, '')} / ${weight ?? name}`;
    }),
  );
}

describe('the trace of a simulation of it', () => {
  it('has the same slices on the same lanes', () => {
    const [run, clock] = [shapeOf(trace), shapeOf(simulated)];
    // The host's own work is a single figure on the clock, weights are there from the start and never prefetched, and outside of layers they
    // have no names of their own; kernels are told from exchanges only where a run is asked to.
    const onlyInRun = [...run].filter((each) => !clock.has(each));
    for (const each of onlyInRun)
      expect(each).toMatch(
        /host \/ (schedule|sample) \/|\/ weights \/ (load |prefetch |embed|head|norm)|wait for weights$|disk \/ read/,
      );
    // And a run cannot tell when the bytes of a move go over their link.
    const onlyOnClock = [...clock].filter((each) => !run.has(each));
    for (const each of onlyOnClock)
      expect(each).toMatch(
        /\/ queue \/ kernels$|outside layers$|wait for weights$|\/ link \/ (KV |weights ahead )/,
      );
  });

  it('follows requests alike', () => {
    for (let request = 0; request < PROMPTS; request++) {
      const path = ({ events }: Trace): string =>
        events
          .filter(({ id, ph }) => id === request && 'stf'.includes(ph))
          .map(({ ph }) => ph)
          .join('');
      expect(path(simulated)).toBe(path(trace));
    }
  });
});

describe('a trace that tells kernels from exchanges', () => {
  it('has kernels before every exchange, and can be compared with its simulation category by category', () => {
    const clock = simulated.slices.map(({ process, thread, name, ts, dur }) => ({
      process,
      thread: thread.replace(/ \d+$/, ''),
      name,
      start: ts / 1e6,
      end: (ts + dur) / 1e6,
    }));
    const { categories } = compareCategories(
      apart.slices,
      clock.toSorted((a, b) => a.start - b.start),
    );
    const compared = new Map(categories.map((each) => [each.category, each]));
    for (const name of ['whole run', 'prefill steps', 'decode steps', 'kernels', 'collectives', 'KV out']) {
      const { run, simulated: other, error } = compared.get(name)!;
      expect(run.seconds, name).toBeGreaterThan(0);
      expect(error, name).toBeCloseTo(other.seconds / run.seconds - 1, 12);
    }
    // The host writes small moves in on the clock as well, where that takes no time: nothing to be compared.
    const { run: written, simulated: instant, error } = compared.get('KV in')!;
    expect(written.seconds).toBeGreaterThan(0);
    expect(instant).toMatchObject({ seconds: 0, slices: written.slices });
    expect(error).toBeUndefined();
    expect(compared.has('kernels and exchanges')).toBe(false);
    const { run, simulated: other } = compared.get('kernels')!;
    // As many stretches of kernels in a step of a kind, whatever the number of steps.
    expect(run.slices).toBeGreaterThanOrEqual(compared.get('collectives')!.run.slices);
    expect(other.slices).toBeGreaterThanOrEqual(compared.get('collectives')!.simulated.slices);
  });
});
