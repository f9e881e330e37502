/**
 * Drawings as text: golden files for every level and format (`vitest -u` writes them anew), DOT read by Graphviz itself,
 * Mermaid by the grammar of what is emitted.
 */
import { instance } from '@viz-js/viz';
import { describe, expect, it } from 'vitest';
import { drawLevel, drawPage, GRAPH_FORMATS, GRAPH_LEVELS } from '../../../cli/graph/draw.js';
import { nodesOf, type Diagram } from '../../../cli/graph/diagram.js';
import { flowDiagram } from '../../../cli/graph/flow.js';
import { movesDiagram } from '../../../cli/graph/moves.js';
import { printDot } from '../../../cli/graph/print-dot.js';
import { printMermaid } from '../../../cli/graph/print-mermaid.js';
import { printSvg } from '../../../cli/graph/print-svg.js';
import { shardingDiagram } from '../../../cli/graph/sharding.js';
import { topologyDiagram } from '../../../cli/graph/topology.js';
import { compileText, pod } from './support.js';

const turns = compileText(pod(4), 'turns');
const apart = compileText(pod(4), 'apart');
const viz = await instance();

/** Names that need care in every format. */
const STRANGE: Diagram = {
  title: 'a "quoted" <b> & \\ title: #1',
  caption: 'x < y',
  items: [
    { id: 'a', kind: 'end', title: '"a" \\', lines: [] },
    {
      id: 'box',
      title: '<box> & "co"',
      items: [
        { id: 'b', kind: 'device', title: 'b', lines: ['`1` < 2', '#9; %%'] },
        { id: 'inner', title: 'inner', items: [{ id: 'c', kind: 'disk', title: 'end', lines: ['\\l'] }] },
      ],
    },
  ],
  edges: [
    { from: 'a', to: 'box', label: ['|x|', 'y "z"'], kind: 'flow' },
    { from: 'b', to: 'inner', label: [], kind: 'joins', busy: 0.5 },
    { from: 'c', to: 'a', label: ['-->'], kind: 'turns' },
  ],
};

const DIAGRAMS = [turns, apart]
  .flatMap(({ plan, compiled }) =>
    [topologyDiagram, shardingDiagram, flowDiagram, movesDiagram].map((make) => make(plan, compiled)),
  )
  .concat(STRANGE);

/** Labels of nodes, lines joined. */
function textsOf({ items }: Diagram): readonly string[] {
  return nodesOf(items).map(({ title, lines }) => [title, ...lines].join('\n'));
}

describe('golden drawings', () => {
  for (const level of GRAPH_LEVELS)
    it.each(GRAPH_FORMATS)(`turns: ${level} as %s`, async (format) => {
      const text = drawLevel(level, format, turns.plan, turns.compiled);
      await expect(text).toMatchFileSnapshot(`../../golden/graph/turns-${level}.${format}`);
    });

  it.each(['topology', 'flow'] as const)('apart: %s', async (level) => {
    const text = drawLevel(level, 'dot', apart.plan, apart.compiled);
    await expect(text).toMatchFileSnapshot(`../../golden/graph/apart-${level}.dot`);
  });
});

describe('DOT', () => {
  it.each(DIAGRAMS)('says to Graphviz what the diagram says', (diagram) => {
    const read = viz.renderJSON(printDot(diagram), { engine: 'dot' }) as {
      readonly objects?: readonly {
        readonly name: string;
        readonly label: string;
        readonly nodes?: unknown;
      }[];
      readonly edges?: readonly unknown[];
    };
    // An escape of DOT in a title or line is one backslash more.
    const plain = (label: string): string => {
      const escapes: Readonly<Record<string, string>> = { l: '\n', n: '\n' };
      return label.replaceAll(/\\(.)/g, (_, next: string) => escapes[next] ?? next).replace(/\n$/, '');
    };
    const nodes = (read.objects ?? []).filter(({ name }) => !name.startsWith('cluster_'));
    expect(nodes.map(({ label }) => plain(label)).sort()).toEqual([...textsOf(diagram)].sort());
    expect(read.edges ?? []).toHaveLength(diagram.edges.length);
  });
});

/** Statements that a flowchart has, as text by the name of a node, and its edges; throws for any other line. */
function readMermaid(text: string): {
  readonly title: string;
  readonly nodes: ReadonlyMap<string, string>;
  readonly boxes: readonly string[];
  readonly edges: readonly (readonly [string, string])[];
} {
  const lines = text.trimEnd().split('\n');
  expect([lines[0], lines[2], lines[3]]).toEqual([
    '---',
    'config: { flowchart: { wrappingWidth: 600 } }',
    '---',
  ]);
  const title = JSON.parse(/^title: (.*)$/.exec(lines[1]!)![1]!) as string;
  expect(lines[4]).toBe('flowchart LR');
  const nodes = new Map<string, string>();
  const boxes: string[] = [];
  const edges: (readonly [string, string])[] = [];
  const text_ = (label: string): string => {
    // Nothing in quotes may end them or be taken for markup.
    expect(label).not.toMatch(/["`]|<(?!br\/>)|(?<!<br\/)>|#(?!35;|96;|amp;|quot;|lt;|gt;)/);
    const entities: Readonly<Record<string, string>> = {
      '35': '#',
      '96': '`',
      amp: '&',
      quot: '"',
      lt: '<',
      gt: '>',
    };
    return label.replaceAll('<br/>', '\n').replaceAll(/#(\w+);/g, (_, name: string) => entities[name]!);
  };
  let open = 0;
  for (const line of lines.slice(5).map((each) => each.trim())) {
    const node = /^(n\d+)(?:\["([^"]*)"\]|\(\["([^"]*)"\]\))$/.exec(line);
    const box = /^subgraph (n\d+)\["([^"]*)"\]$/.exec(line);
    const edge = /^(n\d+) (?:-->|---|<-->|-\.->)(?:\|"([^"]*)"\|)? (n\d+)$/.exec(line);
    if (node) nodes.set(node[1]!, text_(node[2] ?? node[3]!));
    else if (box) {
      boxes.push(box[1]!);
      text_(box[2]!);
      open++;
    } else if (line === 'end') open--;
    else if (edge) {
      text_(edge[2] ?? '');
      edges.push([edge[1]!, edge[3]!]);
    } else
      expect(line).toMatch(
        /^(linkStyle \d+ stroke-width:[\d.]+px|classDef \w+ fill:#\w{6},stroke:#\w{6},color:#\w{6}|class n\d+(,n\d+)* \w+)$/,
      );
    expect(open).toBeGreaterThanOrEqual(0);
  }
  expect(open).toBe(0);
  return { title, nodes, boxes, edges };
}

describe('Mermaid', () => {
  it.each(DIAGRAMS)('is a flowchart that says what the diagram says', (diagram) => {
    const { title, nodes, boxes, edges } = readMermaid(printMermaid(diagram));
    expect(title).toBe(`${diagram.title}. ${diagram.caption}`);
    expect([...nodes.values()]).toEqual(textsOf(diagram));
    expect(edges).toHaveLength(diagram.edges.length);
    const known = new Set([...nodes.keys(), ...boxes]);
    for (const end of edges.flat()) expect(known).toContain(end);
  });
});

describe('SVG and pages', () => {
  it.each(DIAGRAMS)('have every text, and nothing from outside', (diagram) => {
    const svg = printSvg(diagram);
    const shown = [...svg.matchAll(/<text [^>]*>([^<]*)<\/text>/g)].map(([, text]) =>
      text!
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>')
        .replaceAll('&quot;', '"')
        .replaceAll('&amp;', '&'),
    );
    const lines = textsOf(diagram).flatMap((text) => text.split('\n'));
    expect(shown).toEqual(expect.arrayContaining([diagram.title, diagram.caption, ...lines]));
    expect(svg).not.toContain('NaN');
    expect(svg.match(/https?:\/\/[^"]*/g)).toEqual(['http://www.w3.org/2000/svg']);
  });

  it('have boxes as wide as names in wide letters need', () => {
    // In DejaVu Sans, the widest of usual fonts, the title takes 370.2 pixels and the line 71.3 / 13 em.
    const [title, line] = ['GPUMMMMMM[0]: WMWMWMWMWMWMWM_HBM', 'HOST_RAM'];
    const widthOf = (name: string, lines: readonly string[]): number => {
      const items = [{ id: 'a', kind: 'device', title: name, lines }] as const;
      const svg = printSvg({ title: '', caption: '', items, edges: [] });
      return Number(/<g><rect [^>]*width="([\d.]+)"/.exec(svg)![1]);
    };
    expect(widthOf(title, [])).toBeGreaterThan(370.2 + 18);
    expect(widthOf(title, [])).toBeLessThan(1.15 * 370.2 + 18);
    expect(widthOf('', [line])).toBeGreaterThan((71.3 / 13) * 11.5 + 18);
  });

  it.each(DIAGRAMS)('have no two edges that begin or end in one place', (diagram) => {
    const paths = [
      ...printSvg(diagram).matchAll(/<path d="M([\d.-]+ [\d.-]+) .*? ([\d.-]+ [\d.-]+)" fill="none"/g),
    ];
    expect(paths).toHaveLength(diagram.edges.length);
    const places = paths.flatMap(([, start, end]) => [`leaves ${start}`, `reaches ${end}`]);
    expect(new Set(places).size).toBe(places.length);
  });

  it('is one page of all levels that asks the network for nothing', () => {
    const page = drawPage(GRAPH_LEVELS, turns.plan, turns.compiled);
    for (const level of GRAPH_LEVELS) expect(page).toContain(`<section class="card" id="${level}">`);
    expect(new Set(page.match(/https?:\/\/[^"&]*/g))).toEqual(new Set(['http://www.w3.org/2000/svg']));
    expect(page).not.toMatch(/<script|<link|<img|@import/);
  });
});
