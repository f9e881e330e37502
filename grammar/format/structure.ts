/**
 * What the layout of a file hangs on that its tokens alone do not say, gathered from the syntax tree: where the members
 * of blocks begin and end, and which brackets and signs stand close to what is before or after them.
 */
import type { SourceFile, Span } from '../syntax.js';

export interface Structure {
  /** End of the member of a block that starts at an offset. */
  readonly memberEnd: ReadonlyMap<number, number>;
  /** Names that the bracket after them belongs to: `gpu` of `gpu[0..3]`, `peak` of `peak(decode)`. By end. */
  readonly bracketed: ReadonlySet<number>;
  /** Offsets of minus signs before one operand. */
  readonly signs: ReadonlySet<number>;
}

interface TreeNode {
  readonly kind?: string;
  readonly span?: Span;
  readonly [key: string]: unknown;
}

/** Lists of a node that are members of a block. */
const MEMBER_LISTS = ['items', 'members', 'rules'];

export function structureOf(file: SourceFile): Structure {
  const memberEnd = new Map<number, number>();
  const bracketed = new Set<number>();
  const signs = new Set<number>();
  const add = ({ start, end }: Span): void => void memberEnd.set(start, end);
  const visit = (node: TreeNode): void => {
    if (node.kind !== 'list')
      for (const name of MEMBER_LISTS)
        if (Array.isArray(node[name])) for (const member of node[name] as TreeNode[]) add(member.span!);
    if (node.kind === 'import')
      for (const { name, alias } of node['names'] as { name: TreeNode; alias?: TreeNode }[])
        add({ start: name.span!.start, end: (alias ?? name).span!.end });
    if (node.kind === 'record')
      for (const { key, value } of node['entries'] as { key: TreeNode; value: TreeNode }[])
        add({ start: key.span!.start, end: value.span!.end });
    if (node.kind === 'path')
      for (const { name, index } of node['segments'] as { name: TreeNode; index?: unknown }[])
        if (index !== undefined) bracketed.add(name.span!.end);
    if (node.kind === 'call') bracketed.add((node['callee'] as TreeNode).span!.end);
    if (node.kind === 'devices' || node.kind === 'group') bracketed.add((node['name'] as TreeNode).span!.end);
    if (node.kind === 'unary' && node['op'] === '-') signs.add(node.span!.start);
    for (const value of Object.values(node)) {
      if (Array.isArray(value)) for (const each of value) visitValue(each);
      else visitValue(value);
    }
  };
  const visitValue = (value: unknown): void => {
    if (typeof value === 'object' && value !== null) visit(value as TreeNode);
  };
  visit(file as unknown as TreeNode);
  return { memberEnd, bracketed, signs };
}
