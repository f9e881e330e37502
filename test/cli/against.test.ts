/** What a trace tells of the requests of its run. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { againstReport, describeAgainst, readRun } from '../../cli/against.js';
import { commonPrefixes } from '../../runtime/clock/common-prefixes.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { SimulatedRequest } from '../../runtime/clock/simulation.js';
import { createPromptTree } from '../../runtime/engine/prompt-tree.js';
import { openTraceFile, type TraceFigures } from '../../runtime/trace/trace-file.js';
import { HOST } from '../../runtime/trace/tracer.js';
import { common } from '../runtime/support/common.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-against-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A prompt that arrives, with what its arrival says of one before it. */
type Arrival = readonly [promptTokens: number, like?: number, prefixTokens?: number];

/** What the trace of a run of such requests tells of them. */
function told(arrivals: readonly Arrival[], finished: readonly number[]): readonly SimulatedRequest[] {
  return readRun(traceOf(arrivals, finished, { peakMemory: {}, resumed: 0 })).requests;
}

function traceOf(arrivals: readonly Arrival[], finished: readonly number[], figures?: TraceFigures): string {
  const path = join(folder, 'trace.json');
  const tracer = openTraceFile(path, {
    describe: ({ file }) => file,
    about: {},
    onBroken: (reason) => {
      throw new Error(reason);
    },
  });
  for (const [request, [promptTokens, like, prefixTokens]] of arrivals.entries())
    tracer.begin(HOST.requests, 'arrive', { request, promptTokens, like, prefixTokens }).end();
  for (const request of finished) tracer.begin(HOST.requests, 'finish', { request, tokens: 7 }).end();
  tracer.close(figures);
  return path;
}

it('knows prompts that begin alike through those that were not finished, and takes nothing absurd for one', () => {
  const arrivals: Arrival[] = [
    [50],
    [40, 0, 30],
    [60, 1, 35],
    [20, 3, 10],
    [20, 9, 10],
    [20, 0, 99],
    [20, 0, -4],
  ];
  expect(told(arrivals, [0, 2, 3, 4, 5, 6])).toEqual([
    { promptTokens: 50, outputTokens: 7 },
    { promptTokens: 60, outputTokens: 7, like: { request: 0, tokens: 30 } },
    { promptTokens: 20, outputTokens: 7 },
    { promptTokens: 20, outputTokens: 7 },
    { promptTokens: 20, outputTokens: 7, like: { request: 0, tokens: 20 } },
    { promptTokens: 20, outputTokens: 7 },
  ]);
});

it('knows prompts that are like the same one that was not finished', () => {
  expect(told([[50], [40, 0, 30], [60, 0, 35], [60, 0, 32]], [1, 2, 3])).toEqual([
    { promptTokens: 40, outputTokens: 7 },
    { promptTokens: 60, outputTokens: 7, like: { request: 0, tokens: 30 } },
    { promptTokens: 60, outputTokens: 7, like: { request: 1, tokens: 32 } },
  ]);
});

it('says over how long requests arrived that did not come together', () => {
  const spanning = (seconds: number): string => {
    const path = join(folder, 'slow.json');
    let now = 0;
    const onBroken = (reason: string): void => {
      throw new Error(reason);
    };
    const tracer = openTraceFile(path, { describe: ({ file }) => file, about: {}, onBroken, now: () => now });
    for (const request of [0, 1, 2]) {
      now = 500 * request * seconds;
      tracer.begin(HOST.requests, 'arrive', { request, promptTokens: 9 }).end();
    }
    now = 100_000;
    for (const request of [0, 1, 2]) tracer.begin(HOST.requests, 'finish', { request, tokens: 7 }).end();
    tracer.close({ peakMemory: {}, resumed: 0 });
    const plan = { name: 'p', model: { name: 'm' } as Plan['model'] };
    return describeAgainst(againstReport(readRun(path), plan, [], { transitions: 'dataflow' }));
  };
  expect(spanning(60)).toMatch(
    /\n {2}its requests arrived over 1 min 00 s; the simulation has all of its own from the/,
  );
  expect(spanning(4)).not.toContain('arrived over');
});

it('refuses a run that was interrupted, or whose trace lacks its end', () => {
  const cut = (path: string): unknown => {
    try {
      return readRun(path);
    } catch (error) {
      return error;
    }
  };
  const refused = {
    code: 'FC0923',
    message: expect.stringMatching(/ is of a run that was cut short: 1 of 3 requests finished$/) as string,
    details: { help: expect.stringContaining('a run that came to its end') as string },
  };
  const interrupted = traceOf([[50], [40], [60]], [1]);
  expect(cut(interrupted)).toMatchObject(refused);
  const whole = traceOf([[50], [40], [60]], [1], { peakMemory: {}, resumed: 0 });
  expect(readRun(whole).requests).toHaveLength(1);
  const text = readFileSync(whole, 'utf8');
  writeFileSync(whole, text.slice(0, text.lastIndexOf('{"name":"end"') + 9));
  expect(cut(whole)).toMatchObject(refused);
});

it('finds of the prompts of the finished requests all that they have in common', () => {
  const prompt = fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 9 });
  const request = fc.record({ prompt, isFinished: fc.boolean() });
  fc.assert(
    fc.property(fc.array(request, { maxLength: 12 }), (some) => {
      const all = [...some, { prompt: [0], isFinished: true }];
      const tree = createPromptTree();
      const arrivals = all.map(({ prompt: ids }, id): Arrival => {
        const found = tree.add(id, ids);
        return [ids.length, found?.like, found?.prefixTokens];
      });
      const finished = [...all.keys()].filter((id) => all[id]!.isFinished);
      const beginningOf = commonPrefixes(told(arrivals, finished), 4, 100);
      for (const [at, id] of finished.entries())
        for (const [before, other] of finished.slice(0, at).entries())
          expect(common(beginningOf(at).promptIds ?? [], beginningOf(before).promptIds ?? [])).toBe(
            common(all[id]!.prompt, all[other]!.prompt),
          );
    }),
    { numRuns: 50 },
  );
});

it('refuses a trace that is damaged', () => {
  const whole = readFileSync(traceOf([[50], [40]], [0, 1], { peakMemory: {}, resumed: 0 }), 'utf8');
  const path = join(folder, 'damaged.json');
  const read = (text: string): unknown => {
    writeFileSync(path, text);
    try {
      return readRun(path);
    } catch (error) {
      return error;
    }
  };
  expect(read(whole)).toMatchObject({ requests: [{ promptTokens: 50 }, { promptTokens: 40 }] });
  for (const [found, damaged] of [
    [/("ph":"X",)"ts":[\d.]+,/, '$1'],
    [/("ph":"X","ts":)[\d.]+/, '$1null'],
    [/("dur":)[\d.]+/, '$1"12"'],
    [/("dur":)[\d.]+/, '$1-1'],
    [/("dur":[\d.]+,"pid":)\d+/, '$1"1"'],
    [/("dur":[\d.]+,"pid":\d+),"tid":\d+/, '$1'],
    [/("promptTokens":)50/, '$11.5'],
    [/("promptTokens":)50/, '$1-50'],
    [/("promptTokens":)50/, '$1"50"'],
    [/("promptTokens":)50/, '$11e300'],
    [/("tokens":)7/, '$17.5'],
  ] as const) {
    const text = whole.replace(found, damaged);
    expect(text).not.toBe(whole);
    expect(read(text), damaged).toMatchObject({ code: 'FC0923' });
  }
});
