/** The timeline of a re-sharding run: what is on it, and that moves overlap the steps they may overlap. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileHost } from '../../cli/file-host.js';
import { checkFile } from '../../compiler/check/check-file.js';
import { compilePlan } from '../../compiler/compile.js';
import { openTraceFile } from '../../runtime/trace/trace-file.js';
import { end, expectWellFormed, readTrace } from '../fixtures/trace-events.js';
import type { Trace, TraceSlice } from '../fixtures/trace-events.js';
import { CLERK } from './support/clerk.js';
import { generate } from './support/generate.js';

const PROMPTS = 6;
let folder = '';
let trace: Trace;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'fulcrum-trace-'));
  const path = join(folder, 'trace.json');
  const plan = checkFile(fileHost(), 'plans/clerk.plan').plans.find(({ name }) => name === 'reshard')!;
  const tracer = openTraceFile(path, {
    describe: ({ file, span }) => `${file}:${span.start}`,
    about: {},
    onBroken: (reason) => {
      throw new Error(reason);
    },
  });
  const prompts = Array.from({ length: PROMPTS }, (_, i) => Array.from({ length: 20 }, (_, j) => 40 + i + j));
  await generate(compilePlan(plan).runtime, CLERK, prompts, {
    maxNewTokens: 4,
    stopIds: [],
    engine: { tracer },
  });
  tracer.close();
  trace = readTrace(path);
});
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
    expect(counters).toEqual(new Set(['requests', 'KV pages in use']));
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
});
