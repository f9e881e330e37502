/** Diagrams as Mermaid flowcharts, which Markdown shows in many places. */
import { indent } from '../format.js';
import { edgeWidth, isBox, NODE_LOOK, shortNames, type Diagram, type DiagramItem } from './diagram.js';

/** A whole `flowchart`. */
export function printMermaid(diagram: Diagram): string {
  const names = shortNames(diagram);
  const kinds = new Map<string, string[]>();
  const itemLines = (item: DiagramItem): readonly string[] => {
    const name = names.get(item.id)!;
    if (isBox(item))
      return [
        `subgraph ${name}[${quoted([item.title])}]`,
        ...item.items.flatMap(itemLines).map(indent),
        'end',
      ];
    kinds.set(item.kind, [...(kinds.get(item.kind) ?? []), name]);
    const text = quoted([item.title, ...item.lines]);
    return [item.kind === 'end' ? `${name}([${text}])` : `${name}[${text}]`];
  };
  const items = diagram.items.flatMap(itemLines);
  const edges = diagram.edges.map(({ from, to, label, kind }) => {
    const arrow = { flow: '-->', joins: '---', swaps: '<-->', turns: '-.->' }[kind];
    const text = label.length > 0 ? `|${quoted(label)}|` : '';
    return `${names.get(from)} ${arrow}${text} ${names.get(to)}`;
  });
  const widths = diagram.edges.flatMap((edge, index) =>
    edge.busy === undefined ? [] : [`linkStyle ${index} stroke-width:${edgeWidth(edge).toFixed(1)}px`],
  );
  const looks = [...kinds].flatMap(([kind, members]) => {
    const { fill, stroke } = NODE_LOOK[kind as keyof typeof NODE_LOOK];
    return [
      `classDef ${kind}Node fill:${fill},stroke:${stroke},color:#111111`,
      `class ${members.join(',')} ${kind}Node`,
    ];
  });
  return [
    '---',
    // There is no place for a caption, and comments are not shown.
    `title: ${JSON.stringify(`${diagram.title}. ${diagram.caption}`)}`,
    // Lines are short already; what Mermaid allows by default would break most of them.
    'config: { flowchart: { wrappingWidth: 600 } }',
    '---',
    'flowchart LR',
    ...[...items, ...edges, ...widths, ...looks].map(indent),
    '',
  ].join('\n');
}

/** A text in quotes; what would end it or be taken for markup is written as an entity. */
function quoted(lines: readonly string[]): string {
  const escape = (line: string): string =>
    line
      .replaceAll('#', '#35;')
      .replaceAll('&', '#amp;')
      .replaceAll('"', '#quot;')
      .replaceAll('<', '#lt;')
      .replaceAll('>', '#gt;')
      .replaceAll('`', '#96;');
  return `"${lines.map(escape).join('<br/>')}"`;
}
