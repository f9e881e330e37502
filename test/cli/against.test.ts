/** What a trace tells of the requests of its run. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { readRun } from '../../cli/against.js';
import { openTraceFile } from '../../runtime/trace/trace-file.js';
import { HOST } from '../../runtime/trace/tracer.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-against-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('knows prompts that begin alike through those that were not finished, and takes nothing absurd for one', () => {
  const path = join(folder, 'trace.json');
  const tracer = openTraceFile(path, {
    describe: ({ file }) => file,
    about: {},
    onBroken: (reason) => {
      throw new Error(reason);
    },
  });
  const arrive = (request: number, promptTokens: number, like?: number, prefixTokens?: number): void =>
    tracer.begin(HOST.requests, 'arrive', { request, promptTokens, like, prefixTokens }).end();
  arrive(0, 50);
  arrive(1, 40, 0, 30);
  arrive(2, 60, 1, 35);
  arrive(3, 20, 3, 10);
  arrive(4, 20, 9, 10);
  arrive(5, 20, 0, 99);
  arrive(6, 20, 0, -4);
  for (const request of [0, 2, 3, 4, 5, 6])
    tracer.begin(HOST.requests, 'finish', { request, tokens: 7 }).end();
  tracer.close();
  const run = readRun(path);
  if (typeof run === 'string') throw new Error(run);
  expect(run.requests).toEqual([
    { promptTokens: 50, outputTokens: 7 },
    { promptTokens: 60, outputTokens: 7, like: { request: 0, tokens: 30 } },
    { promptTokens: 20, outputTokens: 7 },
    { promptTokens: 20, outputTokens: 7 },
    { promptTokens: 20, outputTokens: 7, like: { request: 0, tokens: 20 } },
    { promptTokens: 20, outputTokens: 7 },
  ]);
});
