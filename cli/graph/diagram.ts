/**
 * What `graph` draws, before it is known how: nodes in boxes, and edges between them. A level makes a diagram of a
 * compiled plan, a printer makes SVG, DOT or Mermaid of it.
 *
 * Order matters: edges that go from an earlier to a later item lead forwards, all others back. Ids are unique in the
 * diagram; printers make names of their own from them.
 */

/** What a node stands for; printers give each kind a look. */
export type NodeKind = 'end' | 'device' | 'host' | 'disk' | 'link' | 'stage' | 'ranks';

/** A node with a title and lines of text. */
export interface DiagramNode {
  readonly id: string;
  readonly kind: NodeKind;
  readonly title: string;
  readonly lines: readonly string[];
  /** Fraction of the time that it is in use, from 0 to 1; absent where that is not known. */
  readonly busy?: number;
}

/** A box with nodes and other boxes in it. */
export interface DiagramBox {
  readonly id: string;
  readonly title: string;
  /** Never empty. */
  readonly items: readonly DiagramItem[];
}

export type DiagramItem = DiagramNode | DiagramBox;

/** An edge between two nodes or boxes. */
export interface DiagramEdge {
  /** Ids of nodes or boxes; neither end lies within the other. */
  readonly from: string;
  readonly to: string;
  /** Lines of its label; none for a plain edge. */
  readonly label: readonly string[];
  /** `joins`: no direction. `swaps`: there and back. `turns`: a change of stage, not the way of requests. */
  readonly kind: 'flow' | 'joins' | 'swaps' | 'turns';
  readonly busy?: number;
}

/** A drawing before it is known how it is drawn. */
export interface Diagram {
  readonly title: string;
  /** How to read it. */
  readonly caption: string;
  readonly items: readonly DiagramItem[];
  readonly edges: readonly DiagramEdge[];
}

export function isBox(item: DiagramItem): item is DiagramBox {
  return 'items' in item;
}

/** All nodes, those in boxes included, in order. */
export function nodesOf(items: readonly DiagramItem[]): readonly DiagramNode[] {
  return items.flatMap((item) => (isBox(item) ? nodesOf(item.items) : [item]));
}

/** Short names for ids (`n0`, `n1`, ...), of nodes and boxes alike. */
export function shortNames({ items }: Diagram): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const add = (item: DiagramItem): void => {
    names.set(item.id, `n${names.size}`);
    if (isBox(item)) item.items.forEach(add);
  };
  items.forEach(add);
  return names;
}

/** Fill and border of every kind of node, for paper. */
export const NODE_LOOK: Readonly<Record<NodeKind, { readonly fill: string; readonly stroke: string }>> = {
  end: { fill: '#ffffff', stroke: '#8a94a6' },
  device: { fill: '#e3edfb', stroke: '#5b87c5' },
  host: { fill: '#fdf0d9', stroke: '#d39a35' },
  disk: { fill: '#f3e6da', stroke: '#a57848' },
  link: { fill: '#f4f5f7', stroke: '#b4bbc7' },
  stage: { fill: '#dff3ee', stroke: '#2f9a86' },
  ranks: { fill: '#ebe7fa', stroke: '#8270c9' },
};

/** Width of the line of an edge in pixels: the busier, the wider. */
export function edgeWidth({ busy = 0 }: DiagramEdge): number {
  return 1.2 + 4.8 * Math.min(1, busy);
}
