/** What a plan expects, held against simulations and their traces: figures agree with those of the compiled plan. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { compiledFigure } from '../../../compiler/passes/expectations.js';
import type { Bound } from '../../../compiler/passes/judge-expectation.js';
import type { CheckedExpectation, Plan } from '../../../compiler/plan/plan.js';
import type { Workload } from '../../../compiler/plan/workload.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import type { SimulatedRequest } from '../../../runtime/clock/simulation.js';
import { createTimeline, replay } from '../../../runtime/clock/timeline.js';
import { judgeObserved, type Verdict } from '../../../runtime/expectations/judge-observed.js';
import { observeTrace, type Observed } from '../../../runtime/expectations/observed.js';
import { checkSimulated, workloadsExpected } from '../../../runtime/expectations/simulate-expectations.js';
import { readTraceFile } from '../../../runtime/trace/read-trace.js';
import { openTraceFile, type TraceFigures } from '../../../runtime/trace/trace-file.js';
import { makePlan as planOf, originAt, type PlanOptions } from '../../compiler/support/make-plan.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-expect-'));
afterAll(() => rmSync(folder, { recursive: true }));

const REQUESTS = Array.from({ length: 12 }, (_, i) => ({ promptTokens: 20 + i, outputTokens: 6 }));
const EDGE = { from: 'prefill', to: 'decode' };

const DRAWN: Workload = {
  name: 'w',
  requests: {
    kind: 'drawn',
    count: 1,
    prompt: { kind: 'fixed', tokens: 1 },
    output: { kind: 'fixed', tokens: 1 },
  },
  origin: originAt(),
};

function expectation(rest: Partial<Bound> & Pick<Bound, 'measure'>): Bound {
  return { kind: 'bound', op: '<=', limit: 0, origin: originAt(), ...rest };
}

/** Simulates the plan into a trace file and reads that back. */
function traced(plan: Plan, figures: Partial<TraceFigures> | false = {}) {
  const result = compilePlan(plan);
  const timeline = createTimeline();
  const simulation = simulate(result.runtime, plan, REQUESTS, { timeline });
  const path = join(folder, `${plan.name}.json`);
  let milliseconds = 0;
  const file = openTraceFile(path, {
    describe: ({ file: name }) => name,
    about: { plan: plan.name },
    onBroken: () => undefined,
    now: () => milliseconds,
  });
  replay(timeline, file, (seconds) => (milliseconds = 1000 * seconds));
  const peakMemory = Object.fromEntries(simulation.devices.map(({ device, peak }) => [device, peak.total]));
  file.close(figures ? { peakMemory, resumed: 0, ...figures } : undefined);
  const read = readTraceFile(path);
  if (read.kind !== 'trace') throw new Error(read.why);
  return { plan, result, simulation, trace: read.trace, observed: observeTrace(result.runtime, read.trace) };
}

function verdicts(
  { plan, result: { runtime, transitions } }: Pick<ReturnType<typeof traced>, 'plan' | 'result'>,
  observed: Observed | string,
  expectations: readonly CheckedExpectation[],
): readonly Verdict[] {
  if (typeof observed === 'string') throw new Error(observed);
  const compiled = { plan: { ...plan, expectations }, runtime, transitions };
  return judgeObserved(compiled, observed, { seen: ' in the run', isOf: () => true });
}

/** Stages take turns, so that there are transitions. */
const makePlan = (options: PlanOptions): Plan => ({ ...planOf(options), residence: 'switch' });

const RESHARDED: PlanOptions = {
  name: 'resharded',
  stages: [
    { name: 'prefill', mesh: { pp: 4 } },
    { name: 'decode', mesh: { tp: 4 } },
  ],
};

describe('what a trace tells', () => {
  it.each<PlanOptions>([
    RESHARDED,
    {
      name: 'replicated',
      stages: [
        { name: 'prefill', mesh: { dp: 2, pp: 2 } },
        { name: 'decode', mesh: { dp: 2, tp: 2 } },
      ],
    },
    {
      name: 'apart',
      stages: [
        { name: 'prefill', mesh: { tp: 2 } },
        { name: 'decode', mesh: { tp: 2 }, devices: [2, 3] },
      ],
    },
    {
      name: 'mixed',
      stages: [
        { name: 'prefill', mesh: { pp: 2, tp: 2 } },
        { name: 'decode', mesh: { pp: 2, tp: 2 } },
      ],
    },
  ])('of $name is what the compiler says of it', (options) => {
    const run = traced(makePlan(options));
    const { runtime, transitions } = run.result;
    const known = (['prefill', 'decode'] as const).flatMap((stage) => [
      expectation({ measure: 'collectives', stage, per: 'layer' }),
      expectation({ measure: 'collectives', stage, per: 'step' }),
    ]);
    const asked = [...known, expectation({ measure: 'bytes', edge: EDGE, per: 'token' })];
    const exact = asked.map((each) => ({
      ...each,
      op: '==' as const,
      limit: compiledFigure(each, runtime, transitions)!,
    }));
    expect(verdicts(run, run.observed, exact).map(({ kind }) => kind)).toEqual(exact.map(() => 'kept'));
    const other = exact.map((each) => ({ ...each, limit: each.limit + 1 }));
    expect(verdicts(run, run.observed, other).map(({ kind }) => kind)).toEqual(exact.map(() => 'broken'));
    expect(run.observed).toMatchObject({
      transitions: { count: run.simulation.transitions.count },
      peaks: Object.fromEntries(run.simulation.devices.map(({ device, peak }) => [device, peak.total])),
    });
  });

  it('counts what a whole run moves on an edge', () => {
    const run = traced(makePlan(RESHARDED));
    const { bytes, transitions } = run.simulation;
    expect(transitions.count).toBeGreaterThan(0);
    const all = expectation({
      measure: 'bytes',
      edge: EDGE,
      op: '==',
      limit: bytes.kvOut + transitions.bytes,
    });
    const each = expectation({
      measure: 'bytes',
      edge: EDGE,
      per: 'transition',
      op: '==',
      limit: transitions.bytes / transitions.count,
    });
    expect(verdicts(run, run.observed, [all, each]).map(({ kind }) => kind)).toEqual(['kept', 'kept']);
  });

  it('names the ops and moves that broke an expectation, and the places of the plan that caused them', () => {
    const run = traced(makePlan(RESHARDED));
    const [ops, sends, count, time] = verdicts(run, run.observed, [
      expectation({ measure: 'collectives', stage: 'decode', per: 'step', limit: 1 }),
      { kind: 'never', op: 'send', stage: 'prefill', origin: originAt() },
      expectation({ measure: 'transitions' }),
      expectation({ measure: 'time' }),
    ]).map((verdict) => (verdict.kind === 'broken' ? verdict.diagnostic : undefined));
    expect(ops).toMatchObject({
      code: 'FC0804',
      message: expect.stringMatching(/ is 9 in the run, expected <= 1$/) as string,
    });
    expect(ops!.notes[0]).toMatch(/^decode\/p0\/\d+: all_reduce/);
    expect(ops!.related.length).toBeGreaterThan(0);
    expect(sends!.notes).toHaveLength(3);
    expect(sends!.notes[0]).toMatch(/^prefill\/p0\/\d+: send/);
    expect(count!.notes[0]).toMatch(/^prefill -> decode after .*, .* of weights in /);
    expect(time).toMatchObject({ code: 'FC0805', severity: 'warning' });
  });

  it('holds the peak that was planned against what is expected of it, whatever was taken of spare memory', () => {
    const plan = makePlan(RESHARDED);
    const counted = Object.fromEntries(
      compilePlan(plan).runtime.devices.map(({ path, peak }) => [path, peak.total]),
    );
    const limit = Math.max(...Object.values(counted));
    const kindsOf = (beyond: number): readonly string[] => {
      const plannedPeak = Object.fromEntries(
        Object.entries(counted).map(([path, bytes]) => [path, bytes + beyond]),
      );
      const peakMemory = Object.fromEntries(Object.keys(counted).map((path) => [path, 2 * limit]));
      const run = traced(plan, { peakMemory, plannedPeak });
      const asked = [expectation({ measure: 'peak', stage: 'decode', limit })];
      return verdicts(run, run.observed, asked).map(({ kind }) => kind);
    };
    expect(kindsOf(0)).toEqual(['kept']);
    expect(kindsOf(1)).toEqual(['broken']);
  });

  it('withholds what only a whole run tells where an earlier run had done a part', () => {
    const asked = [
      expectation({ measure: 'transitions', op: '>=' }),
      expectation({ measure: 'time' }),
      expectation({ measure: 'bytes', edge: EDGE }),
      expectation({ measure: 'collectives', stage: 'decode', workload: DRAWN }),
      expectation({ measure: 'bytes', edge: EDGE, per: 'token' }),
      expectation({ measure: 'peak', stage: 'decode' }),
      expectation({ measure: 'collectives', stage: 'decode' }),
    ];
    const judged = (resumed: number) => {
      const run = traced(makePlan(RESHARDED), { resumed });
      return verdicts(run, run.observed, asked).map((each) => (each.kind === 'unknown' ? each.why : 'told'));
    };
    expect(judged(0)).toEqual(asked.map(() => 'told'));
    const withheld = 'an earlier run had done a part of it';
    expect(judged(3)).toEqual([...Array.from({ length: 4 }, () => withheld), 'told', 'told', 'told']);
  });

  it('holds no run of a part of its file against what is said for the workload', () => {
    const run = traced(makePlan(RESHARDED), { limited: 10 });
    const asked = [
      expectation({ measure: 'transitions', workload: DRAWN }),
      expectation({ measure: 'collectives', stage: 'decode', workload: DRAWN }),
      expectation({ measure: 'transitions' }),
      expectation({ measure: 'bytes', edge: EDGE }),
    ];
    const why = 'it was a run of 10 of the requests of workload w';
    const found = verdicts(run, run.observed, asked);
    expect(found.map((each) => (each.kind === 'unknown' ? each.why : 'told'))).toEqual([
      why,
      why,
      'told',
      'told',
    ]);
  });

  it('says what it cannot tell', () => {
    const run = traced(makePlan({ ...RESHARDED, name: 'cut' }), false);
    const compiled = {
      plan: {
        ...run.plan,
        expectations: [
          expectation({ measure: 'peak', stage: 'decode' }),
          expectation({ measure: 'transitions', workload: DRAWN }),
        ],
      },
      ...run.result,
    };
    const found = judgeObserved(compiled, run.observed as Observed, { seen: '', isOf: () => false });
    expect(found.map((each) => (each.kind === 'unknown' ? each.why : each.kind))).toEqual([
      'the memory of its devices was not told',
      'it was no run of workload w',
    ]);
    const bare = verdicts(run, { transitions: { count: 0 } }, [
      expectation({ measure: 'collectives', stage: 'decode' }),
      expectation({ measure: 'bytes', edge: EDGE }),
      expectation({ measure: 'time' }),
      { kind: 'never', op: 'send', origin: originAt() },
    ]);
    expect(bare.map(({ kind }) => kind)).toEqual(['unknown', 'unknown', 'unknown', 'unknown']);
  });

  it('is refused where it is of another plan', () => {
    const { trace } = traced(makePlan(RESHARDED));
    const fused = compilePlan(makePlan({ stages: [{ name: 'serve', mesh: { tp: 4 } }] })).runtime;
    expect(observeTrace(fused, trace)).toContain('a stage');
    const wider = compilePlan(makePlan({ ...RESHARDED, shape: { layers: 8 } })).runtime;
    expect(observeTrace(wider, trace)).toContain('do not run the program');
  });
});

describe('what plans expect of runs', () => {
  const drawn = (name: string, start: number): Workload => ({
    name,
    requests: {
      kind: 'drawn',
      count: 4,
      prompt: { kind: 'fixed', tokens: 8 },
      output: { kind: 'fixed', tokens: 4 },
    },
    origin: originAt(start),
  });
  const [a, b] = [drawn('a', 1), drawn('b', 2)];
  const wanted = (...expectations: readonly CheckedExpectation[]): readonly string[] =>
    workloadsExpected({ plan: { ...makePlan(RESHARDED), expectations } }, [a, b]).map(({ name }) => name);

  it('is simulated under the workloads that it names, else under all of the file', () => {
    expect(wanted(expectation({ measure: 'transitions', workload: b }))).toEqual(['b']);
    expect(wanted(expectation({ measure: 'time' }))).toEqual(['a', 'b']);
    expect(
      wanted(expectation({ measure: 'bytes', edge: EDGE }), expectation({ measure: 'time', workload: a })),
    ).toEqual(['a', 'b']);
    expect(
      wanted(expectation({ measure: 'peak' }), expectation({ measure: 'bytes', edge: EDGE, per: 'token' })),
    ).toEqual([]);
  });

  it('fails where the clock says that it is not kept', () => {
    const plan = makePlan(RESHARDED);
    const result = compilePlan(plan);
    const { transitions } = simulate(result.runtime, plan, REQUESTS);
    const found = (limit: number) =>
      checkSimulated(
        {
          ...result,
          plan: { ...plan, expectations: [expectation({ measure: 'transitions', limit, workload: a })] },
        },
        a,
        REQUESTS,
      ).map(({ message }) => message);
    expect(found(transitions.count)).toEqual([]);
    expect(found(transitions.count - 1)).toEqual([
      `transitions is ${transitions.count} for workload a, simulated, expected <= ${transitions.count - 1}`,
    ]);
  });

  it('is not kept where the plan has no room for some of the workload', () => {
    const found = (hostCapacity: number, requests: readonly SimulatedRequest[]): readonly string[] => {
      const plan = makePlan({ ...RESHARDED, kv: { hostCapacity } });
      const expectations = [expectation({ measure: 'time', limit: 1e9, workload: a })];
      const compiled = { ...compilePlan(plan), plan: { ...plan, expectations } };
      return checkSimulated(compiled, a, requests).map(({ code, message }) => `${code} ${message}`);
    };
    const { context } = makePlan(RESHARDED).model.shape;
    // Answers that go on past the model's context, as lengths from files may, end with it under every plan.
    const past = [
      { promptTokens: 20, outputTokens: 10 * context },
      { promptTokens: 20, outputTokens: context - 20, cut: true as const },
    ];
    expect(found(2 ** 30, [...REQUESTS, ...past])).toEqual([]);
    // Prompts that do are left out, and what is expected is not shown by a run of the others.
    const long = { promptTokens: context + 1, outputTokens: 1 };
    expect(found(2 ** 30, [...REQUESTS, long])).toEqual([
      'FC0806 the plan has no room for 1 of the 13 requests of workload `a`, so nothing is kept that is expected for it',
    ]);
    expect(found(2 ** 30, [long])).toHaveLength(1);
    // A few pages.
    expect(found(2 ** 18, [...REQUESTS, ...past])).toEqual([
      'FC0806 the plan has no room for 2 of the 14 requests of workload `a`, so nothing is kept that is expected for it',
    ]);
    expect(found(2 ** 18, REQUESTS)).toEqual([]);
  });
});
