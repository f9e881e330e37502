/** What can be folded: blocks, runs of imports, comments of several lines. */
import { FoldingRangeKind, type FoldingRange } from 'vscode-languageserver/node.js';
import { membersOf, type AnyItem } from '../../grammar/items.js';
import type { PlanDocument } from './document.js';

export function foldsOf({ lines, tree }: PlanDocument): FoldingRange[] {
  const line = (offset: number): number => lines.position(offset).line - 1;
  const blocks = (items: readonly AnyItem[]): FoldingRange[] =>
    items.flatMap((item) => {
      // The closing bracket stays in sight.
      const [startLine, endLine] = [line(item.span.start), line(item.span.end) - 1];
      return [...(endLine > startLine ? [{ startLine, endLine }] : []), ...blocks(membersOf(item))];
    });
  const comments = runs(tree.comments.map(({ span }) => ({ first: line(span.start), last: line(span.end) })));
  const imports = runs(
    tree.file.items
      .filter(({ kind }) => kind === 'import')
      .map(({ span }) => ({ first: line(span.start), last: line(span.end) })),
  );
  return [
    ...blocks(tree.file.items),
    ...comments.map((range) => ({ ...range, kind: FoldingRangeKind.Comment })),
    ...imports.map((range) => ({ ...range, kind: FoldingRangeKind.Imports })),
  ];
}

/** Neighbouring lines together, where they are more than one. */
function runs(pieces: readonly { readonly first: number; readonly last: number }[]): FoldingRange[] {
  const joined: { startLine: number; endLine: number }[] = [];
  for (const { first, last } of pieces) {
    const run = joined.at(-1);
    if (run !== undefined && first <= run.endLine + 1) run.endLine = last;
    else joined.push({ startLine: first, endLine: last });
  }
  return joined.filter(({ startLine, endLine }) => endLine > startLine);
}
