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
  if (stray !== undefined) {
    const first = token(stray, 'token')!;
    const { image } = first;
    // What cannot stand anywhere is reported where it is read.
    if (!build.problems.some(({ span }) => span.start === first.startOffset && span.end > span.start))
      build.report('FC0101', spanOf(first), `unexpected \`${image}\``, {
        helps,
        ...(isRange && image === ':' && { expected: ['..'] }),
        data: { found: image },
      });
  }
  const open = token(parent, opener);
  if (open === undefined || token(parent, closer) !== undefined) return;
  build.report('FC0107', spanOf(open), `\`${open.image}\` is never closed`, {
    helps: [`close it with \`${sign}\``],
    expected: [sign],
  });
}

/** Reports two items of a bracketed list with nothing between them. */
export function commas(build: Build, list: CstNode): void {
  const separated = separatedItems(list);
  let end: number | undefined;
  for (const item of nodes(list, 'item')) {
    if (end !== undefined && !separated.has(item)) {
      build.report('FC0106', { start: end, end }, 'expected `,` here', { expected: [','] });
    }
    end = spanOfNode(item).end;
  }
}
