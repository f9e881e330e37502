/** The items of a syntax tree, whatever their kind: a file's declarations, the members of their blocks, and theirs. */
import type {
  Expectation,
  FlowRule,
  Item,
  PlanMember,
  SourceFile,
  StageMember,
  TopologyMember,
} from './syntax.js';

export type AnyItem = Item | TopologyMember | PlanMember | StageMember | FlowRule | Expectation;

/** What stands in the block of an item, in source order; nothing for items without a block. */
export function membersOf(item: AnyItem | SourceFile): readonly AnyItem[] {
  if ('members' in item) return item.members;
  if ('rules' in item) return item.rules;
  return 'items' in item ? item.items : [];
}

/** The items that an offset lies in, outermost first; an offset right behind an item still belongs to it. */
export function itemsAt(file: SourceFile, offset: number): readonly AnyItem[] {
  const path: AnyItem[] = [];
  for (let inside: readonly AnyItem[] = file.items; ;) {
    const item = inside.find(({ span }) => span.start <= offset && offset <= span.end);
    if (item === undefined) return path;
    path.push(item);
    inside = membersOf(item);
  }
}

/** The first item that begins at or behind an offset, within the innermost block around the offset. */
export function itemAfter(file: SourceFile, offset: number): AnyItem | undefined {
  const around = itemsAt(file, offset).findLast(({ span }) => span.start < offset && offset < span.end);
  return membersOf(around ?? file).find(({ span }) => span.start >= offset);
}
