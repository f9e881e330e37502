import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTraceFile, type TraceFile } from '../../../runtime/trace/trace-file.js';
import { HOST, NO_TRACE, deviceLane, together, traced } from '../../../runtime/trace/tracer.js';
import { expectWellFormed, readTrace } from '../../fixtures/trace-events.js';

let folder = '';
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'fulcrum-trace-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LANE = deviceLane('gpu[0]', 'queue');
const ORIGIN = { file: 'a.plan', span: { start: 3, end: 5 } };

/** A trace on a clock that goes on a millisecond with every look. */
function open(
  name: string,
  processes?: readonly string[],
): { readonly path: string; readonly trace: TraceFile } {
  const path = join(folder, name);
  let clock = 100;
  const trace = openTraceFile(path, {
    describe: ({ file, span }) => `${file}:${span.start}`,
    about: { plan: 'p' },
    ...(processes && { processes }),
    onBroken: (reason) => {
      throw new Error(reason);
    },
    now: () => clock++,
  });
  return { path, trace };
}

describe('a trace file', () => {
  it('names lanes, nests slices and says where they come from', () => {
    const { path, trace } = open('nested.json');
    const step = trace.begin(LANE, 'decode', { rows: 2, origin: ORIGIN, missing: undefined });
    step.child('all_reduce tp').end({ bytes: 8 });
    step.end();
    trace.close();
    const read = readTrace(path);
    expectWellFormed(read);
    expect(read.slices).toMatchObject([
      { name: 'all_reduce tp', process: 'gpu[0]', thread: 'queue', args: { bytes: 8 } },
      { name: 'decode', args: { rows: 2, origin: 'a.plan:3' } },
    ]);
    expect(read.slices[1]!.dur).toBe(3000);
    expect(read.events[0]).toMatchObject({ ph: 'M' });
    expect(read.events.find(({ name }) => name === 'run')!.args).toMatchObject({ plan: 'p' });
  });

  it('gives slices that overlap on a lane rows of their own, and uses rows again', () => {
    const { path, trace } = open('rows.json');
    const [a, b] = [trace.begin(LANE, 'a'), trace.begin(LANE, 'b')];
    a.end();
    const c = trace.begin(LANE, 'c');
    b.end();
    c.end();
    trace.close();
    const read = readTrace(path);
    expectWellFormed(read);
    const threads = Object.fromEntries(read.slices.map(({ name, thread }) => [name, thread]));
    expect(threads).toEqual({ a: 'queue', b: 'queue 2', c: 'queue' });
  });

  it('has processes, lanes and their rows in one order, whichever comes first', () => {
    const { path, trace } = open('order.json', ['host', 'gpu[0]', 'gpu[1]']);
    const lanes = [
      deviceLane('gpu[9]', 'queue'),
      deviceLane('gpu[1]', 'weights'),
      deviceLane('gpu[1]', 'copy'),
      deviceLane('gpu[1]', 'queue'),
      deviceLane('gpu[0]', 'queue'),
      deviceLane('gpu[1]', 'copy'),
      HOST.transitions,
      HOST.requests,
    ];
    for (const lane of lanes) trace.begin(lane, 'a');
    trace.close();
    const { events } = readTrace(path);
    const ordered = (what: 'process' | 'thread', within: (pid: number) => boolean): readonly unknown[] =>
      events
        .filter(({ name, pid }) => name === `${what}_sort_index` && within(pid))
        .toSorted((a, b) => Number(a.args!['sort_index']) - Number(b.args!['sort_index']))
        .map(({ pid, tid }) => {
          const named = events.find(
            (event) => event.name === `${what}_name` && event.pid === pid && event.tid === tid,
          );
          return named!.args!['name'];
        });
    const pidOf = (process: string): number =>
      events.find(({ name, args }) => name === 'process_name' && args!['name'] === process)!.pid;
    expect(ordered('process', () => true)).toEqual(['host', 'gpu[0]', 'gpu[1]', 'gpu[9]']);
    expect(ordered('thread', (pid) => pid === pidOf('gpu[1]'))).toEqual([
      'queue',
      'copy',
      'copy 2',
      'weights',
    ]);
    expect(ordered('thread', (pid) => pid === pidOf('host'))).toEqual(['requests', 'transitions']);
  });

  it('ties requests together and samples counters now and then', () => {
    const { path, trace } = open('flows.json');
    for (const phase of ['start', 'through', 'end'] as const) {
      const slices = together([trace.begin(LANE, phase), trace.begin(deviceLane('gpu[1]', 'queue'), phase)]);
      slices.flow(phase, 7);
      slices.end();
    }
    for (let i = 0; i < 12; i++) trace.counter('requests', () => ({ waiting: i }));
    trace.close();
    const read = readTrace(path);
    expectWellFormed(read);
    expect(read.events.filter(({ id }) => id === 7).map(({ ph }) => ph)).toEqual(['s', 't', 'f']);
    const counts = read.events.filter(({ ph }) => ph === 'C').map(({ args }) => args!['waiting']);
    // The last, however soon after the one before it.
    expect(counts).toEqual([0, 5, 10, 11]);
  });

  it('takes the place of what was there once it is whole, where that is asked for', () => {
    const path = join(folder, 'whole.json');
    const begin = () =>
      openTraceFile(path, { describe: String, about: {}, onBroken: () => undefined, isWhole: true });
    writeFileSync(path, 'old');
    const before = readdirSync(folder).length;
    const cut = begin();
    cut.begin(LANE, 'a').end();
    expect(readFileSync(path, 'utf8')).toBe('old');
    cut.close();
    expect(readFileSync(path, 'utf8')).toBe('old');
    const complete = begin();
    complete.begin(LANE, 'a').end();
    complete.close({ peakMemory: {}, resumed: 0 });
    expect(readTrace(path).slices.map(({ name }) => name)).toEqual(['a']);
    expect(readdirSync(folder)).toHaveLength(before);
  });

  it('ends what is under way when it is closed, and is all but complete when it is not', () => {
    const { path, trace } = open('cut.json');
    trace.begin(LANE, 'outer').child('inner');
    // Enough to have been written.
    for (let i = 0; i < 1000; i++) trace.begin(deviceLane('gpu[1]', 'copy'), `page_out ${i}`).end();
    const killed = readFileSync(path, 'utf8');
    expect(killed.length).toBeGreaterThan(1000);
    const whole = killed.slice(0, killed.lastIndexOf(',\n'));
    expect((JSON.parse(`${whole}]`) as unknown[]).length).toBeGreaterThan(10);
    trace.close();
    const read = readTrace(path);
    expectWellFormed(read);
    for (const name of ['outer', 'inner']) {
      expect(read.slices.find((slice) => slice.name === name)!.args).toEqual({ interrupted: true });
    }
  });

  it('is refused where it cannot be written', () => {
    expect(() => open('no/such/folder.json')).toThrow(expect.objectContaining({ code: 'FC0940' }));
  });

  it.skipIf(process.platform !== 'linux')('lets the run go on when the disk is full', () => {
    let reasons = 0;
    const trace = openTraceFile('/dev/full', { describe: String, about: {}, onBroken: () => reasons++ });
    for (let i = 0; i < 2000; i++) trace.begin(LANE, 'a slice with a long name').end();
    trace.close();
    expect(reasons).toBe(1);
  });
});

describe('no trace', () => {
  it('does what it is told all the same', () => {
    expect(traced(NO_TRACE, LANE, 'sum', () => 1 + 2)).toBe(3);
    NO_TRACE.counter('requests', () => {
      throw new Error('nobody asks');
    });
  });
});
