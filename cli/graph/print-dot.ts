/** Diagrams in Graphviz's DOT language. */
import { indent } from '../format.js';
import {
  edgeWidth,
  isBox,
  NODE_LOOK,
  nodesOf,
  shortNames,
  type Diagram,
  type DiagramItem,
  type DiagramNode,
} from './diagram.js';

/** A whole `digraph`. Boxes are clusters; an edge to a box goes to its first node and ends at its border. */
export function printDot(diagram: Diagram): string {
  const names = shortNames(diagram);
  const boxes = new Map<string, DiagramNode>();
  const collect = (items: readonly DiagramItem[]): void => {
    for (const item of items.filter(isBox)) {
      boxes.set(item.id, nodesOf(item.items)[0]!);
      collect(item.items);
    }
  };
  collect(diagram.items);
  const itemLines = (item: DiagramItem): readonly string[] => {
    const name = names.get(item.id)!;
    if (!isBox(item)) return [`${name} [${attributes(nodeAttributes(item))}];`];
    return [
      `subgraph cluster_${name} {`,
      ...[`label=${quoted(item.title)};`, ...item.items.flatMap(itemLines)].map(indent),
      '}',
    ];
  };
  const edgeLines = diagram.edges.map((edge) => {
    const [from, to] = [boxes.get(edge.from)?.id ?? edge.from, boxes.get(edge.to)?.id ?? edge.to];
    const width = edgeWidth(edge).toFixed(1);
    const given = attributes({
      ...(edge.label.length > 0 && { label: lines(edge.label, '\\n') }),
      ...(boxes.has(edge.from) && { ltail: `cluster_${names.get(edge.from)}` }),
      ...(boxes.has(edge.to) && { lhead: `cluster_${names.get(edge.to)}` }),
      ...(edge.kind === 'joins' && { dir: 'none' }),
      ...(edge.kind === 'swaps' && { dir: 'both' }),
      ...(edge.kind === 'turns' && { style: 'dashed' }),
      penwidth: width,
    });
    return `${names.get(from)} -> ${names.get(to)} [${given}];`;
  });
  return [
    'digraph {',
    ...[
      `graph [${attributes({
        label: lines([diagram.title, diagram.caption], '\\l'),
        labelloc: 't',
        labeljust: 'l',
        rankdir: 'LR',
        compound: 'true',
        fontname: FONT,
        style: 'rounded',
        color: '#c9cfd9',
      })}];`,
      `node [${attributes({ shape: 'box', style: 'rounded,filled', fontname: FONT, fontsize: '11' })}];`,
      `edge [${attributes({ fontname: FONT, fontsize: '10', color: '#5b6678' })}];`,
      ...diagram.items.flatMap(itemLines),
      ...edgeLines,
    ].map(indent),
    '}\n',
  ].join('\n');
}

const FONT = 'Helvetica';

function nodeAttributes({ kind, title, lines: more }: DiagramNode): Readonly<Record<string, string>> {
  const { fill, stroke } = NODE_LOOK[kind];
  return { label: lines([title, ...more], '\\l'), fillcolor: fill, color: stroke };
}

/** Attributes in quotes; a `label` of several lines is escaped already. */
function attributes(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}=${key === 'label' ? `"${value}"` : quoted(value)}`)
    .join(', ');
}

/** Lines with an escape after each that also says how they are aligned; a single line needs none. */
function lines(texts: readonly string[], end: '\\n' | '\\l'): string {
  const escaped = texts.map(escape);
  return escaped.length === 1 ? escaped[0]! : `${escaped.join(end)}${end === '\\l' ? end : ''}`;
}

function quoted(text: string): string {
  return `"${escape(text)}"`;
}

function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
}
