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

function rectangles(svg: string, hint: RegExp): readonly Record<string, number>[] {
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
    const rows = rectangles(svg, /layers (\d) to \1, kv heads 0 to 3/);
    const columns = rectangles(svg, /layers 0 to 3, kv heads (\d) to \1$/);
    expect(rows).toHaveLength(4);
    expect(columns).toHaveLength(4);
    expect(new Set(rows.map((box) => box['x'])).size).toBe(1);
    expect(new Set(rows.map((box) => box['y'])).size).toBe(4);
    expect(new Set(columns.map((box) => box['y'])).size).toBe(1);
    expect(rows[0]!['width']).toBeGreaterThan(3.9 * columns[0]!['width']!);
  });

  it('draws ranks that hold the same heads beside each other', () => {
    const svg = draw({
      shape: { kvHeads: 2 },
      stages: [
        { name: 'prefill', mesh: { pp: 4 } },
        { name: 'decode', mesh: { tp: 4 }, kvReplicas: 2 },
      ],
    });
    const columns = rectangles(svg, /layers 0 to 3/);
    expect(new Set(columns.map((box) => box['x'])).size).toBe(4);
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
