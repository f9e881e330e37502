/** Brackets: whether they are closed, what stands in them and belongs nowhere, and commas between their items. */
import type { CstNode } from 'chevrotain';
import type { Build } from './build-context.js';
import { node, nodes, separatedItems, spanOfNode, token } from './cst.js';
import { spanOf } from './lex.js';

/** Reports what belongs nowhere in brackets, or a bracket that is opened and never closed, where it is opened. */
export function closed(
  build: Build,
  parent: CstNode,
  opener: string,
  closer: string,
  sign: string,
  helps: readonly string[] = [],
): void {
  const stray = node(parent, 'stray');
  const isRange = parent.name === 'index' && node(parent, 'first') !== undefined;
  const open = token(parent, opener);
  if (stray !== undefined) {
    const first = token(stray, 'token')!;
    const { image } = first;
    const from = open === undefined ? spanOfNode(parent).start : open.startOffset;
    // What cannot stand anywhere is reported where it is read.
    const isRead = build.problems.some(
      ({ span }) => span.start === first.startOffset && span.end > span.start,
    );
    if (!isRead && !hasMeaningless(build, from, first.startOffset))
      build.report('FC0101', spanOf(first), `unexpected \`${image}\``, {
        helps,
        ...(isRange && image === ':' && { expected: ['..'] }),
        data: { found: image },
      });
  }
  if (open === undefined || token(parent, closer) !== undefined) return;
  build.report('FC0107', spanOf(open), `\`${open.image}\` is never closed`, {
    helps: [`close it with \`${sign}\``],
    expected: [sign],
  });
}

/** Whether characters that mean nothing were reported there: they are why what follows does not belong. */
function hasMeaningless(build: Build, start: number, end: number): boolean {
  return build.problems.some(({ code, span }) => code === 'FC0112' && span.start >= start && span.end <= end);
}

/** Reports two items of a bracketed list with nothing between them. */
export function commas(build: Build, list: CstNode): void {
  const separated = separatedItems(list);
  let end: number | undefined;
  for (const item of nodes(list, 'item')) {
    const { start } = spanOfNode(item);
    if (end !== undefined && !separated.has(item) && !hasMeaningless(build, end, start)) {
      build.report('FC0106', { start: end, end }, 'expected `,` here', { expected: [','] });
    }
    end = spanOfNode(item).end;
  }
}
