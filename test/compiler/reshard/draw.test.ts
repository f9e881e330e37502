/** The drawing of transitions: well-formed, complete, and to scale. */
import { describe, expect, it } from 'vitest';
import { formatBytes } from '../../../compiler/check/units.js';
import { compilePlan } from '../../../compiler/compile.js';
import { drawTransitions } from '../../../compiler/reshard/draw.js';
import { makePlan, type PlanOptions } from '../support/make-plan.js';

function draw(options: PlanOptions, title = 'test', prefix = ''): string {
  const plan = makePlan(options);
  return drawTransitions(compilePlan(plan).transitions, {
    title,
    layers: plan.model.shape.layers,
    kvHeads: plan.model.shape.kvHeads,
    devicePath: (device) => prefix + plan.topology.devices[device]!.path,
    bytes: formatBytes,
    mesh: (stage) => `of ${stage}`,
    shardings: (stage) => [`shards of ${stage}`, ...(stage === 'decode' ? [`twice shards of ${stage}`] : [])],
  });
}

const RESHARD: PlanOptions = {
  stages: [
    { name: 'prefill', mesh: { pp: 4 } },
    { name: 'decode', mesh: { tp: 4 } },
  ],
};

/** Names of elements that are opened and not closed, or the other way round. */
function unbalanced(svg: string): readonly string[] {
  const open: string[] = [];
  for (const [, close, name, empty] of svg.matchAll(/<(\/?)([a-z]+)(?:\s[^>]*?)?(\/?)>/g)) {
    if (empty === '/') continue;
    if (close !== '/') open.push(name!);
    else if (open.pop() !== name) return [name!];
  }
  return open;
}

type Rectangle = Readonly<Record<string, number>>;

function rectangles(svg: string, hint: RegExp): readonly Rectangle[] {
  return [...svg.matchAll(/<rect ([^>]*)><title>([^<]*)<\/title><\/rect>/g)]
    .filter(([, , title]) => hint.test(title!))
    .map(([, attributes]) =>
      Object.fromEntries(
        [...attributes!.matchAll(/(\w+)="([\d.]+)"/g)].map(([, key, value]) => [key, Number(value)]),
      ),
    );
}

describe('a drawing of transitions', () => {
  it('is one well-formed document without anything from outside', () => {
    const svg = draw(RESHARD, 'a < b & "c"');
    expect(unbalanced(svg)).toEqual([]);
    expect(svg).toContain('a &lt; b &amp; &quot;c&quot;');
    expect(svg.match(/https?:\/\/[^"]*/g)).toEqual(['http://www.w3.org/2000/svg']);
  });

  it('gives texts their own colour and size, which no style takes from them', () => {
    const svg = draw(RESHARD);
    const style = /<style>(.*?)<\/style>/.exec(svg)![1]!;
    expect(style).not.toMatch(/text \{[^}]*(fill|font-size)/);
    expect(svg).toMatch(/<text [^>]*font-size="20"[^>]*>test</);
    // Light on the dark part of a bar, where that has room for it.
    const halves = draw({
      stages: [
        { name: 'prefill', mesh: { pp: 2 } },
        { name: 'decode', mesh: { tp: 2 } },
      ],
    });
    const dark = rectangles(halves, /^kept in place: /).map(({ x, width }) => x! + width! / 2);
    const light = [...halves.matchAll(/<text x="([\d.]+)"[^>]*fill="#fff"/g)].map(([, x]) => Number(x));
    expect(light.length).toBeGreaterThan(0);
    for (const x of light) expect(Math.min(...dark.map((each) => Math.abs(each - x)))).toBeLessThan(0.1);
  });

  it('shows every rank of both stages where its layers and heads are', () => {
    const svg = draw(RESHARD);
    const rows = rectangles(svg, /: layer \d, kv heads 0 to 3$/);
    const columns = rectangles(svg, /: layers 0 to 3, kv head \d$/);
    expect(rows).toHaveLength(4);
    expect(columns).toHaveLength(4);
    expect(new Set(rows.map((box) => box['x'])).size).toBe(1);
    expect(new Set(rows.map((box) => box['y'])).size).toBe(4);
    expect(new Set(columns.map((box) => box['y'])).size).toBe(1);
    expect(rows[0]!['width']).toBeGreaterThan(3.9 * columns[0]!['width']!);
  });

  it('draws ranks that hold the same as one box that names them, striped in the colours of all', () => {
    const svg = draw({
      shape: { kvHeads: 2 },
      stages: [
        { name: 'prefill', mesh: { pp: 4 } },
        { name: 'decode', mesh: { tp: 4 }, kvReplicas: 2 },
      ],
    });
    const all = [...svg.matchAll(/<title>([^<]*: layers 0 to 3, [^<]*)<\/title>/g)].map(([, title]) => title);
    expect(all).toEqual([
      'gpu[0..1] each: layers 0 to 3, kv head 0',
      'gpu[2..3] each: layers 0 to 3, kv head 1',
    ]);
    const [first, second] = rectangles(svg, /layers 0 to 3/) as [Rectangle, Rectangle];
    const [row] = rectangles(svg, /: layer 0,/) as [Rectangle];
    expect(second['x']! - first['x']!).toBeCloseTo((row['width']! + 2) / 2, 1);
    expect(svg).toMatch(/<text [^>]*>gpu\[0\.\.1\] each<\/text>/);
    const colourOf = (title: string): string =>
      new RegExp(`fill="([^"]*)"><title>${title}`).exec(svg)![1]!.replace(/[()]/g, '\\$&');
    expect(colourOf('gpu\\[0\\.\\.1\\]')).toBe('url\\(#devices-0-1\\)');
    const [stripes] = /<pattern id="devices-0-1".*?<\/pattern>/.exec(svg)!;
    for (const device of [0, 1]) expect(stripes).toMatch(new RegExp(colourOf(`gpu\\[${device}\\]`)));
    expect(svg).toContain('Striped: several devices hold the same.');
    expect(draw(RESHARD)).not.toContain('Striped');
  });

  it('has one box where every rank holds all heads', () => {
    const onTp = ['heads', 'ffn', 'vocab'] as const;
    const svg = draw({ stages: [{ name: 'serve', mesh: { tp: 4 }, onTp }] });
    expect(rectangles(svg, /layers/)).toHaveLength(1);
    expect(rectangles(svg, /^gpu\[0\.\.3\] each: layers 0 to 3, kv heads 0 to 3$/)).toHaveLength(1);
  });

  it('says under the title of a stage how it lies on tp, with grids beside each other level', () => {
    const svg = draw(RESHARD);
    for (const line of ['shards of prefill', 'shards of decode', 'twice shards of decode'])
      expect(svg).toContain(`>${line}</text>`);
    const [rows, columns] = [/: layer 0,/, /kv head 0$/].map((hint) => rectangles(svg, hint)[0]!['y']!);
    expect(rows).toBe(columns);
    const [caption] = /<text [^>]*y="([\d.]+)"[^>]*>twice shards/.exec(svg)!.slice(1).map(Number);
    expect(rows!).toBeGreaterThan(caption!);
  });

  it('says what numbers are where there are any', () => {
    const [key, number] = [
      'A number is that of a device: 0 is gpu[0].',
      /text-anchor="middle">\d+(\.\.\d+)?</,
    ];
    const few = draw({ stages: [{ name: 'serve', mesh: { pp: 2 } }] });
    expect(few).not.toContain(key);
    expect(few).not.toMatch(number);
    const many = draw({ stages: [{ name: 'serve', mesh: { dp: 4, tp: 4 } }] });
    expect(many).toContain(key);
    expect(many).toMatch(number);
  });

  it('lists boxes that have no room for a label', () => {
    const svg = draw({
      shape: { layers: 30 },
      stages: [{ name: 'serve', mesh: { pp: 4 }, layerSplit: [27, 1, 1, 1] }],
    });
    const listed = [...svg.matchAll(/<text [^>]*y="([\d.]+)"[^>]*>(gpu\[\d\]: [^<]*)<\/text>/g)];
    expect(listed.map(([, , line]) => line)).toEqual([
      'gpu[1]: layer 27, kv heads 0 to 3',
      'gpu[2]: layer 28, kv heads 0 to 3',
      'gpu[3]: layer 29, kv heads 0 to 3',
    ]);
    const height = Number(/^<svg [^>]*height="(\d+)"/.exec(svg)![1]);
    for (const [, y] of listed) expect(Number(y)).toBeLessThan(height);
    const fillOf = (path: string): string =>
      new RegExp(`fill="([^"]*)"><title>gpu\\[${path}\\]`).exec(svg)![1]!;
    const swatches = [...svg.matchAll(/<rect [^>]*width="8"[^>]*fill="([^"]*)"\/>/g)].map(([, fill]) => fill);
    expect(swatches).toEqual(['1', '2', '3'].map(fillOf));
    const many = draw({ shape: { layers: 40 }, stages: [{ name: 'serve', mesh: { pp: 40 } }] });
    expect(many.match(/>gpu\[\d+\]: layer \d+, kv heads 0 to 3<\/text>/g)).toHaveLength(16);
    expect(many).toContain('and 24 more without a label');
  });

  it('draws bytes to one scale, and from other devices where those send', () => {
    const svg = draw({ ...RESHARD, peerBandwidth: 50e9 });
    const bytes = (hint: RegExp): number =>
      rectangles(svg, hint).reduce((sum, box) => sum + box['width']!, 0);
    expect(bytes(/^from other devices/)).toBeGreaterThan(bytes(/^uploaded/));
    expect(svg).toContain('gpu &lt;-&gt; gpu (gpu to gpu)');
    const alone = draw(RESHARD);
    expect(rectangles(alone, /^from other devices/)).toEqual([]);
    expect(rectangles(alone, /^uploaded/)).toHaveLength(8);
  });

  it('says so when nothing moves, and still shows who holds what', () => {
    const svg = draw({ stages: [{ name: 'serve', mesh: { tp: 2 } }] });
    expect(svg).toContain('nothing moves');
    expect(svg).not.toContain('uploaded');
    expect(rectangles(svg, /layers 0 to 3/)).toHaveLength(2);
  });

  it('says so when stages hand over and no weights move', () => {
    const svg = draw({
      stages: [
        { name: 'prefill', mesh: { pp: 2 }, devices: [0, 1] },
        { name: 'decode', mesh: { tp: 2 }, devices: [2, 3] },
      ],
    });
    expect(svg).toContain('No devices change stage, or their weights stay: no weights move.');
    expect(svg).toContain('KV prefill → decode: through host');
    expect(svg).not.toContain('uploaded');
    expect(draw(RESHARD)).not.toContain('no weights move');
  });

  it('is as wide as its longest lines need, each in its own column', () => {
    const widthOf = (svg: string): number => Number(/^<svg [^>]*width="(\d+)"/.exec(svg)![1]);
    expect(widthOf(draw({ stages: [{ name: 'serve', mesh: { tp: 2 } }] }))).toBe(980);
    // Capitals take 9 pixels and more where the text is small, and 14 in a title.
    const name = 'W'.repeat(60);
    expect(widthOf(draw(RESHARD, 'W'.repeat(100)))).toBeGreaterThan(1400);
    const svg = draw(RESHARD, 'test', `${name}.`);
    expect(widthOf(svg)).toBeGreaterThan(2 * 60 * 9);
    const captions = [...svg.matchAll(/<text x="([\d.]+)"[^>]*>W+\.gpu[^<]*across</g)];
    const [left, right] = captions.map(([, x]) => Number(x)) as [number, number];
    expect(right - left).toBeGreaterThan(60 * 9);
    const bars = rectangles(svg, /^uploaded/);
    expect(Math.min(...bars.map(({ x }) => x!))).toBeGreaterThan(left + 60 * 9);
    for (const { x, width } of bars) expect(x! + width!).toBeLessThan(widthOf(svg));
  });

  it('names every rank, on its side where it is narrow', () => {
    const svg = draw({
      shape: { kvHeads: 8 },
      stages: [
        { name: 'prefill', mesh: { dp: 4, pp: 2, tp: 4 } },
        { name: 'decode', mesh: { dp: 4, tp: 8 } },
      ],
    });
    const labels = [...svg.matchAll(/<text [^>]*middle[^>]*>(\d+)<\/text>/g)].map(([, label]) =>
      Number(label),
    );
    expect(labels.sort((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, i) => Math.floor(i / 2)));
    expect(svg.match(/rotate\(-90/g)!.length).toBeGreaterThan(20);
  });
});
