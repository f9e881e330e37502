/**
 * What the layout of a file depends on that its tokens alone do not say, gathered from the syntax tree: where the members
 * of blocks begin and end, and which brackets and signs stand close to what is before or after them.
 */
import type {
  Expectation,
  Expr,
  FlowRule,
  Item,
  PlanMember,
  SourceFile,
  Span,
  StageMember,
  TopologyMember,
} from '../syntax.js';

export interface Structure {
  /** End of the member of a block that starts at an offset. */
  readonly memberEnd: ReadonlyMap<number, number>;
  /** Names that the bracket after them belongs to: `gpu` of `gpu[0..3]`, `peak` of `peak(decode)`. By end. */
  readonly bracketed: ReadonlySet<number>;
  /** Offsets of minus signs before one operand. */
  readonly signs: ReadonlySet<number>;
}

type TreeNode = SourceFile | Item | TopologyMember | PlanMember | StageMember | FlowRule | Expectation | Expr;

export function structureOf(file: SourceFile): Structure {
  const memberEnd = new Map<number, number>();
  const bracketed = new Set<number>();
  const signs = new Set<number>();
  const add = ({ start, end }: Span): void => void memberEnd.set(start, end);
  const visit = (node: TreeNode): void => {
    switch (node.kind) {
      case 'file':
      case 'expect':
        for (const { span } of node.items) add(span);
        break;
      case 'flow':
        for (const { span } of node.rules) add(span);
        break;
      case 'import':
        for (const { name, alias } of node.names)
          add({ start: name.span.start, end: (alias ?? name).span.end });
        break;
      case 'record':
        for (const { key, value } of node.entries) add({ start: key.span.start, end: value.span.end });
        break;
      case 'path':
        for (const { name, index } of node.segments) if (index !== undefined) bracketed.add(name.span.end);
        break;
      case 'call':
        bracketed.add(node.callee.span.end);
        break;
      case 'unary':
        if (node.op === '-') signs.add(node.span.start);
        break;
      case 'devices':
        bracketed.add(node.name.span.end);
        break;
      default:
        if ('members' in node) for (const { span } of node.members) add(span);
        if (node.kind === 'group') bracketed.add(node.name.span.end);
    }
    for (const child of nodesWithin(node)) visit(child);
  };
  visit(file);
  return { memberEnd, bracketed, signs };
}

/** The nearest nodes below a value of the tree: what has a kind is one, and lists and entries between hold more. */
function nodesWithin(value: object): readonly TreeNode[] {
  return Object.values(value).flatMap((child: unknown): readonly TreeNode[] => {
    if (typeof child !== 'object' || child === null) return [];
    return 'kind' in child ? [child as TreeNode] : nodesWithin(child);
  });
}
