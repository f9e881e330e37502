/** The timeline of a simulation, and the trace it becomes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import { createTimeline, flatSlices, replay, type Timeline } from '../../../runtime/clock/timeline.js';
import { openTraceFile } from '../../../runtime/trace/trace-file.js';
import { deviceLane } from '../../../runtime/trace/tracer.js';
import { makePlan } from '../../compiler/support/make-plan.js';
import { end, expectWellFormed, readTrace, type Trace } from '../../fixtures/trace-events.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-timeline-'));
afterAll(() => rmSync(folder, { recursive: true }));

function traceOf(timeline: Timeline, inner = true): Trace {
  const path = join(folder, 'trace.json');
  let milliseconds = 0;
  const file = openTraceFile(path, {
    describe: ({ span }) => `${span.start}`,
    about: {},
    onBroken: (reason) => {
      throw new Error(reason);
    },
    now: () => milliseconds,
  });
  replay(timeline, file, (seconds) => (milliseconds = 1000 * seconds), inner);
  file.close();
  return readTrace(path);
}

const REQUESTS = 24;
const LANE = deviceLane('gpu[0]', 'queue');

/** Weights come from the host at so many bytes a second. */
function simulated(hostBandwidth?: number): Timeline {
  const made = makePlan({
    shape: { layers: 8, hidden: 256, heads: 8, kvHeads: 4, headDim: 32, ffn: 512, vocab: 512, context: 128 },
    stages: [
      { name: 'prefill', mesh: { pp: 4 }, microbatchTokens: 64 },
      { name: 'decode', mesh: { tp: 4 }, batchRequests: 8 },
    ],
    // Room for a few prompts: devices go back to prefill, which waits for nothing but its weights.
    kv: { hostCapacity: 2 ** 20 },
  });
  const links = made.topology.links.map((link) =>
    link.to === 'host' || link.from === 'host'
      ? { ...link, bandwidth: hostBandwidth ?? link.bandwidth }
      : link,
  );
  const plan = { ...made, topology: { ...made.topology, links } };
  const timeline = createTimeline();
  const requests = Array.from({ length: REQUESTS }, () => ({ promptTokens: 20, outputTokens: 5 }));
  simulate(compilePlan(plan).runtime, plan, requests, { timeline });
  return timeline;
}

describe('the trace of a timeline', () => {
  it('puts slices in the order of time, whenever they were added, and reuses a row at the moment it is free', () => {
    const timeline = createTimeline();
    timeline.add({ lane: LANE, name: 'second', start: 2, end: 3 });
    timeline.add({
      lane: LANE,
      name: 'first',
      start: 1,
      end: 2,
      within: () => [{ name: 'inner', start: 1.25, end: 1.5 }],
    });
    const { slices } = traceOf(timeline);
    expect(slices.map(({ name, thread, ts, dur }) => [name, thread, ts, dur])).toEqual([
      ['inner', 'queue', 1.25e6, 0.25e6],
      ['first', 'queue', 1e6, 1e6],
      ['second', 'queue', 2e6, 1e6],
    ]);
    expect(traceOf(timeline, false).slices.map(({ name }) => name)).toEqual(['first', 'second']);
  });

  it('holds for a simulation what the format asks of every trace', () => {
    const trace = traceOf(simulated());
    expectWellFormed(trace);
    for (let request = 0; request < REQUESTS; request++) {
      const flow = trace.events.filter(({ id, ph }) => id === request && 'stf'.includes(ph));
      expect(flow.map(({ ph }) => ph).join('')).toBe('sttf');
    }
    const counters = new Set(trace.events.filter(({ ph }) => ph === 'C').map(({ name }) => name));
    expect(counters).toEqual(new Set(['requests', 'KV pages in use', 'prompt tokens reused']));
  });

  it('has counters up to the end, with what they come to there', () => {
    const trace = traceOf(simulated());
    const ended = Math.max(...trace.slices.map(({ ts, dur }) => ts + dur));
    for (const name of ['requests', 'KV pages in use']) {
      const last = trace.events.findLast((event) => event.ph === 'C' && event.name === name)!;
      expect(last.ts).toBeCloseTo(ended, 0);
      const { finished = REQUESTS, ...others } = last.args!;
      expect([finished, ...Object.values(others)]).toEqual([REQUESTS, ...Object.values(others).map(() => 0)]);
    }
  });

  it('has counters of what is under way from the beginning', () => {
    const { events } = traceOf(simulated());
    const first = events.find(({ ph, name }) => ph === 'C' && name === 'requests')!;
    expect(first.ts).toBe(0);
    expect(first.args!['prefilling']).toBeGreaterThan(0);
  });

  it('fills every step with its kernels, exchanges and waits, and nothing else', () => {
    const { slices } = traceOf(simulated(1e7));
    const inner = ['kernels', 'all_reduce tp', 'send', 'recv', 'read samples', 'wait for weights'];
    expect(new Set(slices.filter(({ args }) => args?.['op'] !== undefined).map(({ name }) => name))).toEqual(
      new Set(inner),
    );
    for (const step of slices.filter(({ name }) => /^\w+ (prefill|decode)$/.test(name))) {
      const within = slices.filter(
        (each) =>
          inner.includes(each.name) &&
          each.tid === step.tid &&
          each.ts >= step.ts - 1e-3 &&
          end(each) <= end(step) + 1e-2,
      );
      // Times of the file have three digits behind the microsecond.
      expect(within.reduce((sum, { dur }) => sum + dur, 0)).toBeCloseTo(step.dur, 0);
    }
  });
});

describe('the slices of a timeline', () => {
  it('come in order with those within them, which are made one step at a time', () => {
    const timeline = createTimeline();
    let made = 0;
    const within = (start: number) => () => {
      made++;
      return [
        { name: 'a', start, end: start + 1 },
        { name: 'b', start: start + 1, end: start + 2 },
      ];
    };
    for (const start of [10, 0, 1])
      timeline.add({ lane: LANE, name: `${start}`, start, end: start + 2, within: within(start) });
    const slices = flatSlices(timeline);
    expect(slices.next().value).toMatchObject({ name: '0', start: 0, end: 2 });
    expect(made).toBe(0);
    const rest = [...slices].map(({ name, start }) => [name, start]);
    expect(rest).toEqual([
      ['a', 0],
      ['1', 1],
      ['b', 1],
      ['a', 1],
      ['b', 2],
      ['10', 10],
      ['a', 10],
      ['b', 11],
    ]);
    expect(made).toBe(3);
  });
});
