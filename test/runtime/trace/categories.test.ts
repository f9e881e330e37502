import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compareCategories, tallyCategories, type TimedName } from '../../../runtime/trace/categories.js';
import { readTraceFile } from '../../../runtime/trace/read-trace.js';
import { openTraceFile } from '../../../runtime/trace/trace-file.js';
import { deviceLane, HOST } from '../../../runtime/trace/tracer.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-categories-'));
afterAll(() => rmSync(folder, { recursive: true }));

const slice = (process: string, thread: string, name: string, start: number, end: number): TimedName => ({
  process,
  thread,
  name,
  start,
  end,
});

const ends = (end: number): TimedName[] => [
  slice('host', 'requests', 'arrive', 1, 1),
  slice('host', 'requests', 'finish', end, end),
];

describe('categories of a trace', () => {
  it('add up over devices and count what overlaps on one of them once', () => {
    const tally = tallyCategories([
      slice('gpu[0]', 'copy', 'page_out', 0, 2),
      slice('gpu[0]', 'copy', 'page_out', 1, 3),
      slice('gpu[0]', 'copy', 'page_in', 0, 4),
      slice('gpu[1]', 'copy', 'page_out', 0, 2),
    ]);
    expect(tally.get('KV out')).toEqual({ seconds: 5, slices: 3 });
    expect(tally.get('KV in')).toEqual({ seconds: 4, slices: 1 });
    expect(tally.get('kernels')).toEqual({ seconds: 0, slices: 0 });
  });

  it('tell kernels from exchanges only where the run does', () => {
    const simulated = [
      slice('gpu[0]', 'queue', 'decode decode', 0, 3),
      slice('gpu[0]', 'queue', 'kernels', 0, 2),
      slice('gpu[0]', 'queue', 'all_reduce tp', 2, 3),
      ...ends(3),
    ];
    const { categories: coarse } = compareCategories(
      [
        slice('gpu[0]', 'queue', 'decode decode', 1, 7),
        slice('gpu[0]', 'queue', 'all_reduce tp', 1, 7),
        ...ends(5),
      ],
      simulated,
    );
    expect(coarse.map(({ category, error }) => [category, error])).toEqual([
      ['whole run', -0.5],
      ['decode steps', -0.5],
      ['kernels and exchanges', -0.5],
    ]);
    const { categories: fine } = compareCategories(simulated, simulated);
    expect(fine.map(({ category, error }) => [category, error])).toEqual([
      ['whole run', 0],
      ['decode steps', 0],
      ['kernels', 0],
      ['collectives', 0],
    ]);
  });

  it('have no error where the run has none of a category', () => {
    const run = [slice('gpu[0]', 'queue', 'serve prefill', 0, 1), ...ends(1)];
    const { categories } = compareCategories(run, [slice('disk', 'write', 'spill', 0, 1), ...run]);
    const [, , extra] = categories;
    expect(extra).toMatchObject({ category: 'KV on disk', simulated: { seconds: 1 } });
    expect(extra).not.toHaveProperty('error');
  });

  it('have no error where the clock gives them no time', () => {
    const run = [
      slice('gpu[0]', 'copy', 'page_in', 0, 1),
      slice('gpu[0]', 'copy', 'page_out', 0, 1),
      ...ends(2),
    ];
    const { categories } = compareCategories(run, [slice('gpu[0]', 'copy', 'page_in', 0, 0), ...ends(2)]);
    expect(categories.map(({ category, error }) => [category, error])).toEqual([
      ['whole run', 0],
      ['KV out', -1],
      ['KV in', undefined],
    ]);
  });
});

it('counts a step that decodes beside a prefill as the prefill that it was called in earlier traces', () => {
  const stepped = (name: string): readonly TimedName[] => [
    slice('gpu[0]', 'queue', name, 0, 1),
    slice('gpu[0]', 'queue', 'serve decode', 1, 3),
    ...ends(3),
  ];
  const { categories } = compareCategories(stepped('serve prefill'), stepped('serve prefill + decode'));
  expect(categories.map(({ category, error }) => [category, error])).toEqual([
    ['whole run', 0],
    ['prefill steps', 0],
    ['decode steps', 0],
  ]);
});

describe('a trace without what lies within steps', () => {
  it('is not compared in that', () => {
    const run = [slice('gpu[0]', 'queue', 'decode decode', 1, 4), ...ends(4)];
    const within = [
      slice('gpu[0]', 'queue', 'kernels', 1, 2),
      slice('gpu[0]', 'queue', 'all_reduce tp', 2, 4),
    ];
    const { categories, lacking } = compareCategories(run, [...run.slice(0, 1), ...within, ...ends(4)]);
    expect(categories.map(({ category, error }) => [category, error])).toEqual([
      ['whole run', 0],
      ['decode steps', 0],
    ]);
    expect(lacking).toEqual(['kernels and exchanges']);
  });
});

describe('a trace that is read', () => {
  it('has the slices that were written, rows of a lane as one, and the facts of its run', () => {
    const path = join(folder, 'written.json');
    let clock = 0;
    const file = openTraceFile(path, {
      describe: String,
      about: { plan: 'p' },
      onBroken: () => undefined,
      now: () => (clock += 1000),
    });
    const [a, b] = [
      file.begin(deviceLane('gpu[0]', 'copy'), 'a'),
      file.begin(deviceLane('gpu[0]', 'copy'), 'b'),
    ];
    a.end({ bytes: 8 });
    b.end();
    file.begin(HOST.requests, 'arrive').end();
    file.close();
    const read = readTraceFile(path);
    if (read.kind !== 'trace') throw new Error(read.why);
    expect(read.trace.about).toMatchObject({ plan: 'p' });
    expect(read.trace.slices).toMatchObject([
      { process: 'gpu[0]', thread: 'copy', name: 'a', start: 1, end: 3, args: { bytes: 8 } },
      { process: 'gpu[0]', thread: 'copy', name: 'b', start: 2, end: 4 },
      { process: 'host', thread: 'requests', name: 'arrive' },
    ]);
  });

  it.each([
    ['cut.json', '[\n{"name":"run","ph":"i","ts":0,"pid":1,"tid":0},\n{"name":"process_na', undefined],
    ['other.json', '{"traceEvents": []}', 'not a trace'],
    ['foreign.json', '{"traceEvents": [{"dur": 1}]}', 'not a trace'],
    ['number.json', '7', 'not a trace'],
    ['nothing.json', 'null', 'not a trace'],
    ['none.json', '[\n]\n', 'not a trace'],
    ['broken.json', '[\nnull,\n{"name": 1},\n{}\n]', 'not a trace'],
    ['empty.json', '', 'not a trace'],
  ])('%s is read as far as it goes or refused', (name, text, why) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    const read = readTraceFile(path);
    if (why === undefined) expect(read).toMatchObject({ kind: 'trace', trace: { slices: [] } });
    else expect(read).toMatchObject({ kind: 'problem', why: expect.stringContaining(why) as string });
  });

  it.each<[string, (text: string) => string]>([
    ['with line ends of another system', (text) => text.replaceAll('\n', '\r\n')],
    ['indented', (text) => JSON.stringify(JSON.parse(text), undefined, 2)],
    ['with a byte order mark', (text) => `\ufeff${text}`],
    ['indented, with a byte order mark', (text) => `\ufeff${JSON.stringify(JSON.parse(text), undefined, 2)}`],
    ['on one line', (text) => JSON.stringify(JSON.parse(text))],
    [
      'as an object',
      (text) => JSON.stringify({ displayTimeUnit: 'ms', traceEvents: JSON.parse(text) as [] }),
    ],
  ])('is read %s', (how, rewritten) => {
    const path = join(folder, `${how}.json`);
    const file = openTraceFile(path, { describe: String, about: { plan: 'p' }, onBroken: () => undefined });
    file.begin(HOST.requests, 'arrive').end({ request: 3 });
    file.close({ peakMemory: {}, resumed: 0 });
    const text = readFileSync(path, 'utf8');
    const read = readTraceFile(path);
    expect(read).toMatchObject({ kind: 'trace', trace: { slices: [{ name: 'arrive' }] } });
    writeFileSync(path, rewritten(text));
    expect(readTraceFile(path)).toEqual(read);
  });

  it('is read in pieces, wherever they end', () => {
    const path = join(folder, 'pieces.json');
    const file = openTraceFile(path, { describe: String, about: { plan: 'p' }, onBroken: () => undefined });
    const names = Array.from({ length: 20_000 }, (_, i) => `ä${i}`);
    for (const name of names) file.begin(HOST.requests, name).end();
    file.close({ peakMemory: {}, resumed: 0 });
    const read = readTraceFile(path);
    if (read.kind !== 'trace') throw new Error(read.why);
    expect(read.trace.slices.map(({ name }) => name)).toEqual(names);
    expect(read.trace.figures).toMatchObject({ resumed: 0 });
  });

  it('is refused where there is no file', () => {
    expect(readTraceFile(join(folder, 'absent.json'))).toMatchObject({ kind: 'problem' });
  });
});
