/** The page of a simulation: whole without the network, small however long the run, and it does what a pointer asks. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runInThisContext, Script } from 'node:vm';
import { afterAll, describe, expect, it } from 'vitest';
import { simulationPage } from '../../cli/page/page.js';
import {
  drawnDevices,
  isDrawn,
  timelineData,
  type DrawnDevices,
  type TimelineData,
} from '../../cli/page/timeline-data.js';
import type { Canvas } from '../../cli/page/browser.js';
import { memoryPanel } from '../../cli/page/panels.js';
import { layTimeline } from '../../cli/page/timeline-layout.js';
import { paintTimeline } from '../../cli/page/timeline-paint.js';
import { seconds, viewTimeline } from '../../cli/page/timeline-view.js';
import { simulationReport } from '../../cli/simulation-report.js';
import { compilePlan } from '../../compiler/compile.js';
import { simulate } from '../../runtime/clock/simulate.js';
import { createTimeline } from '../../runtime/clock/timeline.js';
import { deviceLane, DISK, HOST } from '../../runtime/trace/tracer.js';
import { makePlan } from '../compiler/support/make-plan.js';
import { runInProcess } from './run-program.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-page-'));
afterAll(() => rmSync(folder, { recursive: true }));

const DEVICES: DrawnDevices = { paths: ['gpu[0]', 'gpu[1]'], all: 2 };
const LANE = deviceLane('gpu[0]', 'queue');

function page(name: string, promptTokens = 9) {
  const made = makePlan({ stages: [{ name: 'serve', mesh: { tp: 2 } }] });
  const overhead = { ...made.topology.overhead, read: { 2: 1e-4 } };
  const plan = { ...made, topology: { ...made.topology, overhead }, name };
  const timeline = createTimeline();
  const requests = Array.from({ length: 4 }, () => ({ promptTokens, outputTokens: 5 }));
  const simulation = simulate(compilePlan(plan).runtime, plan, requests, { timeline });
  const data = timelineData(timeline, simulation.kv, simulation.makespan, DEVICES);
  const report = simulationReport({ plan: name, simulation });
  return {
    html: simulationPage({ title: name, about: 'a & b' }, [{ report, about: 'x', timeline: data }]),
    data,
    report,
  };
}

/** Scripts of a page by their attributes. */
const scripts = (html: string): readonly (readonly [attributes: string, text: string])[] =>
  [...html.matchAll(/<script([^>]*)>([^]*?)<\/script>/g)].map(([, attributes, text]) => [attributes!, text!]);

describe('the page', () => {
  it('asks nothing of the network and holds scripts that parse', () => {
    const { html, data } = page('serve');
    expect(html).not.toMatch(/https?:|\bsrc=|<link|@import|url\(/);
    const [json, code] = scripts(html);
    expect(JSON.parse(json![1])).toEqual(data);
    expect(() => new Script(code![1])).not.toThrow();
  });

  it('has nothing in use where no request could run', () => {
    const { html } = page('serve', 1e6);
    expect(html).not.toContain('NaN');
    expect(html).toContain('>0.0% in use<');
    expect(html).toContain('<b>0.0%</b><span>of device time in use');
  });

  it('says what a full bar of memory is', () => {
    const { report } = page('serve');
    const about = (total: number, budget: number): string => {
      const devices = report.devices.map((device) => ({
        ...device,
        budget,
        peak: { ...device.peak, total },
      }));
      return /<p class="about">(.*?)<\/p>/.exec(memoryPanel({ ...report, devices }))![1]!;
    };
    const [whole, small] = [2 ** 30, 2 ** 20];
    expect(about(small, whole)).toContain('A full bar is 1.00 MiB, the largest peak.');
    expect(about(whole / 2, whole)).toContain('A full bar is 1.00 GiB, the most that the plan may use');
  });

  it('cannot be broken by names', () => {
    const { html } = page('</script><b>"a&b"');
    expect(scripts(html)).toHaveLength(2);
    expect(html).toContain('<title>&lt;/script&gt;&lt;b&gt;&quot;a&amp;b&quot;</title>');
    expect(html).not.toContain('<b>"a');
  });

  it('is written by simulate for one plan and for all of a file', async () => {
    const file = join(folder, 'page.html');
    const workload = 'test/fixtures/lengths.jsonl';
    const args = ['simulate', 'plans/clerk.plan', '--workload', workload, '--html', file];
    const run = await runInProcess(...args, '--without', 'host-overhead');
    expect(run.status).toBe(0);
    expect(run.err).toContain(`wrote ${file}`);
    const html = readFileSync(file, 'utf8');
    for (const name of ['reshard', 'pipeline', 'split']) expect(html).toContain(`>${name}</button>`);
    expect(html).toContain('without host-overhead');
    const refused = await runInProcess(...args.slice(0, -1), join(folder, 'no/such.html'));
    expect(refused).toMatchObject({ status: 3 });
    expect(refused.err).toContain('no/such.html');
  });
});

describe('the data of a timeline', () => {
  it('keeps slices and what is within them as they are where they fit', () => {
    const { data } = page('serve');
    const [queue] = data.lanes;
    expect(queue).toMatchObject({ process: 'gpu[0]', thread: 'queue' });
    const kinds = (flat: readonly number[]): ReadonlySet<string> =>
      new Set(flat.filter((_, i) => i % 6 === 2).map((kind) => data.kinds[kind]!));
    expect(kinds(queue!.slices)).toEqual(new Set(['prefill', 'mixed', 'decode']));
    expect(kinds(queue!.within)).toEqual(new Set(['kernels', 'all_reduce', 'samples']));
    const end = Math.max(
      ...queue!.slices.flatMap((start, i, all) => (i % 6 === 0 ? [start + all[i + 1]!] : [])),
    );
    expect(Math.abs(end - data.ticks)).toBeLessThan(2);
  });

  it('draws as one what is too short to be told apart, and never more than a page can hold', () => {
    const timeline = createTimeline();
    const count = 100_000;
    for (let i = 0; i < count; i++)
      timeline.add({
        lane: LANE,
        name: 'serve decode',
        start: i,
        end: i + 0.9,
        withinCount: 3,
        within: () => [],
      });
    const { lanes, notes } = timelineData(timeline, [], count, DEVICES);
    const slices = lanes[0]!.slices;
    expect(slices.length / 6).toBeLessThanOrEqual(40_000);
    expect(slices.filter((_, i) => i % 6 === 4).reduce((sum, each) => sum + each, 0)).toBe(count);
    expect(notes).toHaveLength(2);
  });

  it('draws what is within steps as one of each kind where there is too much of it, until even that is', () => {
    const drawn = (steps: number, turns: number): TimelineData => {
      const timeline = createTimeline();
      const within = (i: number) =>
        Array.from({ length: 2 * turns }, (_, j) => ({
          name: j % 2 === 0 ? 'kernels' : 'all_reduce tp',
          start: i + j / (4 * turns),
          end: i + (j + (j % 2 === 0 ? 1 : 0.5)) / (4 * turns),
        }));
      for (let i = 0; i < steps; i++)
        timeline.add({
          lane: LANE,
          name: 'serve decode',
          start: i,
          end: i + 0.9,
          withinCount: 2 * turns,
          within: () => within(i),
        });
      return timelineData(timeline, [], steps, DEVICES);
    };
    expect(drawn(100, 16).notes).toEqual([]);
    const { lanes, kinds, labels, ticks, notes } = drawn(2000, 16);
    expect(notes).toEqual(['Of kernels and exchanges, all of a kind within a step are drawn as one.']);
    const step = ticks / 2000;
    const [kernels, exchanges] = ['kernels', 'all_reduce'].map((kind) => kinds.indexOf(kind as 'kernels'));
    expect(lanes[0]!.within).toHaveLength(2000 * 2 * 6);
    expect(lanes[0]!.within.slice(0, 12)).toEqual([
      ...[0, step / 4, kernels, labels.indexOf('kernels'), 16, step / 4],
      ...[step / 4, step / 8, exchanges, labels.indexOf('all_reduce tp'), 16, step / 8],
    ]);
    for (const [steps, turns] of [
      [31_000, 2],
      [2000, 300],
    ] as const) {
      const { lanes, notes } = drawn(steps, turns);
      expect(lanes[0]!.within).toEqual([]);
      expect(notes).toEqual(['Kernels and exchanges within steps are too many to be drawn.']);
    }
  });

  it('draws some devices of every stage where there are too many', () => {
    const devices = Array.from({ length: 100 }, (_, id) => ({ id, path: `gpu[${id}]` }));
    const ranks = devices.map(({ id }) => ({ device: id }));
    const stages = [{ ranks: ranks.slice(0, 90) }, { ranks: ranks.slice(90, 98) }];
    const drawn = drawnDevices({ devices, stages });
    // Those that are drawn are all that is kept.
    const timeline = createTimeline(isDrawn(drawn));
    for (const { path } of devices)
      timeline.add({ lane: deviceLane(path, 'queue'), name: 'a prefill', start: 0, end: 1 });
    expect(timeline.slices()).toHaveLength(32);
    const { lanes, notes } = timelineData(timeline, [], 1, drawn);
    const order = lanes.map(({ process }) => devices.findIndex(({ path }) => path === process));
    expect(order.filter((device) => device < 90)).toHaveLength(22);
    expect(order.filter((device) => device >= 90 && device < 98)).toHaveLength(8);
    expect(notes).toContain('32 of 100 devices are drawn, of each stage some.');
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });
});

interface Drawn {
  readonly rectangles: { x: number; width: number; fill: string; alpha: number }[];
  readonly texts: string[];
  /** Heights that lines lead to. */
  readonly heights: number[];
}

/** A function made of its text, as a page has it: what it takes from outside of itself is missing then. */
function ofOwnText<F extends (...args: never[]) => unknown>(made: F): F {
  return runInThisContext(`(${made.toString()})`) as F;
}

/** A canvas of 1000 pixels that remembers what is drawn, and how to point at it. */
function fakeView(data: TimelineData) {
  const drawn: Drawn = { rectangles: [], texts: [], heights: [] };
  const listeners = new Map<string, Parameters<Canvas['addEventListener']>[1]>();
  const pen = {
    fillStyle: '',
    strokeStyle: '',
    font: '',
    textAlign: '',
    textBaseline: '',
    globalAlpha: 1,
    lineWidth: 1,
    setTransform: () => undefined,
    clearRect: () => {
      drawn.rectangles.length = 0;
      drawn.texts.length = 0;
      drawn.heights.length = 0;
    },
    fillRect(x: number, _y: number, width: number) {
      drawn.rectangles.push({ x, width, fill: pen.fillStyle, alpha: pen.globalAlpha });
    },
    fillText: (text: string) => void drawn.texts.push(text),
    measureText: (text: string) => ({ width: 7 * text.length }),
    beginPath: () => undefined,
    moveTo: () => undefined,
    lineTo: (_x: number, y: number) => void drawn.heights.push(y),
    closePath: () => undefined,
    fill: () => undefined,
    stroke: () => undefined,
  };
  const canvas: Canvas = {
    width: 0,
    height: 0,
    clientWidth: 1000,
    style: { height: '' },
    getContext: () => pen,
    getBoundingClientRect: () => ({ left: 0, top: 0 }),
    setPointerCapture: () => undefined,
    addEventListener: (type, listener) => void listeners.set(type, listener),
  };
  const tip = {
    textContent: '' as string | null,
    hidden: true,
    offsetWidth: 50,
    style: { left: '', top: '' },
  };
  const button = { addEventListener: () => undefined };
  const tools = {
    layTimeline: ofOwnText(layTimeline),
    paintTimeline: ofOwnText(paintTimeline),
    seconds: ofOwnText(seconds),
  };
  ofOwnText(viewTimeline)(
    { canvas, tip, zoomIn: button, zoomOut: button, reset: button, pixelRatio: 2, colour: (name) => name },
    data,
    tools,
  );
  const at = (type: string, x: number, y = 30, more = {}): void =>
    listeners.get(type)!({
      clientX: x,
      clientY: y,
      deltaY: 0,
      button: 0,
      key: '',
      ctrlKey: false,
      metaKey: false,
      shiftKey: false,
      pointerId: 1,
      preventDefault: () => undefined,
      ...more,
    });
  return { drawn, tip, at };
}

describe('the lanes of moves', () => {
  const colours = (data: TimelineData, fill: RegExp) =>
    fakeView(data).drawn.rectangles.filter((rectangle) => fill.test(rectangle.fill));

  it('tell what is asked for from what is on a link', () => {
    const timeline = createTimeline();
    const copy = deviceLane('gpu[0]', 'copy');
    timeline.add({ lane: deviceLane('gpu[0]', 'weights'), name: 'prefetch a -> b', start: 0, end: 9 });
    timeline.add({ lane: copy, name: 'page_out', start: 1, end: 5 });
    timeline.add({
      lane: deviceLane('gpu[0]', 'link'),
      name: 'KV out',
      start: 4,
      end: 5,
      args: { pages: 3, bytes: 4096 },
    });
    for (const lane of [HOST.sample, HOST.encode])
      timeline.add({ lane, name: lane.thread, start: 0, end: 1 });
    timeline.add({ lane: DISK.read, name: 'fetch', start: 0, end: 3 });
    timeline.add({ lane: DISK.link, name: 'KV from disk', start: 2, end: 3 });
    const { lanes, kinds, labels } = timelineData(timeline, [], 10, DEVICES);
    expect(lanes.map(({ thread, slices }) => [thread, kinds[slices[2]!]])).toEqual([
      ['link', 'page_out'],
      ['copy', 'asked'],
      ['weights', 'asked'],
      ['encode', 'host'],
      ['sample', 'host'],
      ['link', 'disk'],
      ['read', 'asked'],
    ]);
    expect(labels).toContain('KV out · pages 3 · 4.00 KiB');
  });

  it('are the paler, the less of a pixel something lasts, also where slices are drawn as one', () => {
    // A move every millisecond, of which it takes a twentieth; and one without a break.
    const moving = (count: number, lasts: number): TimelineData => {
      const timeline = createTimeline();
      const lane = deviceLane('gpu[0]', 'link');
      for (let i = 0; i < count; i++)
        timeline.add({ lane, name: 'KV out', start: i / 1000, end: (i + lasts) / 1000 });
      return timelineData(timeline, [], count / 1000, DEVICES);
    };
    for (const count of [20_000, 100_000]) {
      for (const [lasts, alpha] of [
        [0.05, 0.2 + 0.8 * 0.05],
        [1, 1],
      ] as const) {
        const drawn = colours(moving(count, lasts), /--k-page_out/);
        const mean =
          drawn.reduce((sum, { alpha, width }) => sum + alpha * width, 0) /
          drawn.reduce((sum, { width }) => sum + width, 0);
        expect(mean, `${count} of ${lasts}`).toBeCloseTo(alpha, 1);
        // A lane that is all taken has no stripes: but for its end.
        for (const { alpha: own } of drawn.slice(0, -1)) expect(Math.abs(own - alpha)).toBeLessThan(0.05);
      }
    }
  });
});

describe('a time on the page', () => {
  it.each([
    [0, undefined, '0 µs'],
    [11.1234, undefined, '11.12 s'],
    [11.1234, 1e-3, '11.123 s'],
    [11.12, 5e-7, '11.12 s'],
    [11.1200005, 5e-7, '11.1200005 s'],
    [0.123456, 2e-6, '123.456 ms'],
    [0.5, 0.1, '500 ms'],
    [299.9996, undefined, '5 min'],
    [299.9996, 1e-3, '5 min'],
    [299.9996, 1e-4, '4 min 59.9996 s'],
    [239.6, undefined, '4 min'],
    [200, 20, '3 min 20 s'],
    [100, 20, '1 min 40 s'],
    [59.94, undefined, '59.94 s'],
    [59.9996, undefined, '1 min'],
    [61.234, 1e-2, '1 min 1.23 s'],
  ])('%d, in steps of %d, is %s', (value, step, text) => expect(seconds(value, step)).toBe(text));
});

it('tells steps that decode beside a prefill from those of one kind', () => {
  const timeline = createTimeline();
  const args = { step: 7, rows: 32, prefill: 30, decode: 2 };
  timeline.add({ lane: LANE, name: 'serve prefill', start: 0, end: 1 });
  timeline.add({ lane: LANE, name: 'serve prefill + decode', start: 1, end: 2, args });
  timeline.add({ lane: LANE, name: 'serve decode', start: 2, end: 3 });
  const { lanes, kinds, labels } = timelineData(timeline, [], 3, DEVICES);
  const shown = lanes[0]!.slices.filter((_, i) => i % 6 === 2).map((kind) => kinds[kind]);
  expect(shown).toEqual(['prefill', 'mixed', 'decode']);
  expect(labels[1]).toBe('serve prefill + decode · step 7 · rows 32 · prefill 30 · decode 2');
});

describe('the view of a timeline', () => {
  const timeline = createTimeline();
  timeline.add({ lane: LANE, name: 'serve prefill', start: 0, end: 4, args: { step: 7, rows: 32 } });
  timeline.add({ lane: LANE, name: 'serve decode', start: 6, end: 8 });
  const data = timelineData(timeline, [], 10, DEVICES);
  const steps = ({ rectangles }: Drawn) => rectangles.filter(({ fill }) => /--k-(prefill|decode)/.test(fill));

  it('draws slices in proportion to their time, and again when zoomed', () => {
    const { drawn, at } = fakeView(data);
    const [prefill, decode] = steps(drawn);
    expect(prefill!.width / decode!.width).toBeCloseTo(2, 1);
    const left = prefill!.x;
    // Selects from 5 s to 10 s: the prefill is out of sight, the decode twice as wide.
    const second = (prefill!.width + 0.75) / 4;
    at('pointerdown', left + 5 * second);
    at('pointermove', left + 10 * second);
    at('pointerup', left + 10 * second);
    expect(steps(drawn).map(({ fill }) => fill)).toEqual(['--k-decode']);
    expect(steps(drawn)[0]!.width / decode!.width).toBeCloseTo(2, 1);
    at('keydown', 0, 0, { key: '0' });
    expect(steps(drawn)).toHaveLength(2);
  });

  it('draws no more of a chart than is in sight', () => {
    const none = { waiting: 0, prefilling: 0, moving: 0, onHost: 0, onDisk: 0, running: 0 };
    const full = [1, 0.5, 1].map((device, i) => ({ time: 4 * i, device, host: 0, disk: 0, ...none }));
    const { drawn, at } = fakeView({ ...data, samples: full });
    // Lines of the grid lead to the bottom of all.
    const heights = () => [...new Set(drawn.heights)].sort((a, b) => a - b).slice(0, -1);
    const [most, half, bottom] = heights() as [number, number, number];
    expect(half - most).toBeCloseTo(bottom - half);
    const { x, width } = steps(drawn)[0]!;
    const second = (width + 0.75) / 4;
    at('pointerdown', x + 5 * second);
    at('pointermove', x + 7 * second);
    at('pointerup', x + 7 * second);
    expect(heights()).toEqual([half, bottom]);
  });

  it('gives names of devices the room that they need, and shortens those that are longer still', () => {
    const named = (path: string) => {
      const timeline = createTimeline();
      timeline.add({ lane: deviceLane(path, 'queue'), name: 'a prefill', start: 0, end: 1 });
      return fakeView(timelineData(timeline, [], 1, { paths: [path], all: 1 })).drawn.texts;
    };
    expect(named('rack[0].node[1].gpu[7]')).toContain('rack[0].node[1].gpu[7]');
    const long = (index: number) =>
      named(`accelerators_with_a_long_name_[${index}]`).find((text) => text.includes('…'))!;
    expect(long(3)).toMatch(/^acc.*\[3\]$/);
    expect(7 * long(3).length).toBeLessThan(232 - 7 * 'queue'.length);
  });

  it('selects with the main button, no further than the drawing, until the pointer is taken away', () => {
    const { drawn, at } = fakeView(data);
    const left = steps(drawn)[0]!.x;
    const width = (): number => steps(drawn)[0]!.width;
    const whole = width();
    const selected = () => drawn.rectangles.filter(({ fill }) => fill === '--select');
    at('pointerdown', left + 100);
    at('pointermove', 10);
    expect(selected()).toMatchObject([{ x: left, width: 100 }]);
    at('pointercancel', 10);
    at('pointermove', left + 300);
    expect(selected()).toEqual([]);
    at('pointerup', left + 300);
    at('pointerdown', left + 100, 30, { button: 2 });
    at('pointermove', left + 300);
    at('pointerup', left + 300);
    expect(width()).toBe(whole);
    at('pointerdown', left + 427);
    at('pointermove', 10);
    at('pointerup', 10);
    expect(width()).toBeCloseTo(2 * whole, -1);
    // Nor back to what is not shown.
    at('pointerdown', left + 427);
    at('pointerup', 2000);
    expect(steps(drawn)).toHaveLength(1);
  });

  it('says what the pointer is on', () => {
    const { drawn, tip, at } = fakeView(data);
    const [prefill] = steps(drawn);
    at('pointermove', prefill!.x + 10);
    expect(tip.hidden).toBe(false);
    expect(tip.textContent).toBe('gpu[0] · queue\nserve prefill\nstep 7\nrows 32\n4 s from 0 µs');
    at('pointerleave', 0);
    expect(tip.hidden).toBe(true);
  });

  it('has marks that read differently however far it is zoomed in, and tells times as exactly', () => {
    const { drawn, tip, at } = fakeView(data);
    const marks = (): readonly string[] => drawn.texts.filter((text) => / s$/.test(text));
    expect(marks().slice(0, 3)).toEqual(['2 s', '4 s', '6 s']);
    for (let i = 0; i < 14; i++) at('keydown', 0, 0, { key: '+' });
    expect(marks().length).toBeGreaterThan(2);
    expect(new Set(marks()).size).toBe(marks().length);
    for (const text of marks()) expect(text).toMatch(/^(4\.999\d|5|5\.000\d) s$/);
    at('keydown', 0, 0, { key: '0' });
    const [, decode] = steps(drawn);
    at('pointermove', decode!.x + 10);
    expect(tip.textContent).toBe('gpu[0] · queue\nserve decode\n2 s from 6 s');
  });

  it('has marks at whole minutes where seconds would divide none', () => {
    const { drawn } = fakeView(timelineData(timeline, [], 233, DEVICES));
    const marks = (from: Drawn) => from.texts.filter((text) => /^\d.* (s|min)$/.test(text));
    expect(marks(drawn)).toEqual(['1 min', '2 min', '3 min']);
    const shorter = fakeView(timelineData(timeline, [], 110, DEVICES));
    expect(marks(shorter.drawn)).toEqual(['20 s', '40 s', '1 min', '1 min 20 s', '1 min 40 s']);
  });

  it('says of what is drawn as one how many it is', () => {
    const of = (inside: boolean): string => {
      const flat = [0, 4_000_000, 0, 0, 17];
      const lane = { process: 'gpu[0]', thread: 'queue' };
      const lanes = [{ ...lane, slices: flat, within: inside ? flat : [] }];
      const { tip, at } = fakeView({ ...data, labels: ['kernels'], lanes });
      at('pointermove', 200, inside ? 48 : 30);
      return tip.textContent!;
    };
    expect(of(false)).toBe('gpu[0] · queue\nkernels, 17 in a row\n4 s from 0 µs');
    expect(of(true)).toBe('gpu[0] · queue\nkernels\n17 in this step, 4 s in all');
  });

  it('lets a wheel alone scroll the page', () => {
    const { drawn, at } = fakeView(data);
    const before = steps(drawn).map(({ width }) => width);
    at('wheel', 200, 30, { deltaY: -100 });
    expect(steps(drawn).map(({ width }) => width)).toEqual(before);
    at('wheel', 200, 30, { deltaY: -100, ctrlKey: true });
    expect(steps(drawn)[0]!.width).toBeGreaterThan(before[0]!);
  });
});
