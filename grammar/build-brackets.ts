/** Brackets: whether they are closed, what stands in them and belongs nowhere, and commas between their items. */
import type { CstNode, IToken } from 'chevrotain';
import type { Build } from './build-context.js';
import {
  elementsOf,
  firstToken,
  node,
  nodes,
  separatedItems,
  spanOfElement,
  spanOfNode,
  token,
  tokens,
} from './cst.js';
import { spanOf } from './lex.js';
import type { ProblemOptions } from './syntax-problems.js';

/** Parts of an import that stand behind its braces. */
const BEHIND = ['From', 'source', 'junk'];

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
    const [first, second] = tokens(stray, 'token') as [IToken, IToken?];
    const from = open === undefined ? spanOfNode(parent).start : open.startOffset;
    const expected = isRange && first.image === ':' && second !== undefined ? { expected: ['..'] } : {};
    reportStray(build, first, from, { helps, ...expected });
  }
  if (open === undefined || token(parent, closer) !== undefined) return;
  reportUnclosed(build, parent, open, sign);
}

/** Reports a bracket that is opened and never closed; what it holds goes as far as its node does. */
export function reportUnclosed(build: Build, parent: CstNode, open: IToken, sign: string): void {
  const held = elementsOf(parent, BEHIND).map((element) => spanOfElement(element).end);
  build.report('FC0107', spanOf(open), `\`${open.image}\` is never closed`, {
    helps: [`close it with \`${sign}\``],
    expected: [sign],
    end: Math.max(...held),
  });
}

/** Reports the first of some words that belong nowhere in the brackets that begin at `from`. */
function reportStray(build: Build, first: IToken, from: number, options: ProblemOptions = {}): void {
  const { image, startOffset } = first;
  // What cannot stand anywhere is reported where it is read.
  const isRead = build.problems.some(({ span }) => span.start === startOffset && span.end > span.start);
  if (isRead || hasMeaningless(build, from, startOffset)) return;
  build.report('FC0101', spanOf(first), `unexpected \`${image}\``, { ...options, data: { found: image } });
}

/**
 * The items in curly brackets, with what is wrong between them: something that is none, and items with nothing between
 * them. What stands right behind a faulty item is its aftermath.
 */
export function itemsInBraces<Item>(
  build: Build,
  braces: CstNode,
  one: (item: CstNode) => Item,
): readonly Item[] {
  closed(build, braces, 'LCurly', 'RCurly', '}');
  const separated = separatedItems(braces);
  const items: Item[] = [];
  let last: { readonly end: number; readonly faulty: boolean } | undefined;
  for (const item of nodes(braces, 'item')) {
    const { start, end } = spanOfNode(item);
    const before = build.problems.length;
    const joined = separated.has(item) ? undefined : last;
    if (item.name === 'strayEntry') {
      const first = elementsOf(item)
        .map(firstToken)
        .find(({ startOffset }) => startOffset === start)!;
      if (joined?.faulty !== true) reportStray(build, first, last?.end ?? spanOfNode(braces).start);
      for (const block of nodes(item, 'balanced')) closed(build, block, 'LCurly', 'RCurly', '}');
      last = { end, faulty: true };
      continue;
    }
    items.push(one(item));
    if (joined !== undefined && !joined.faulty) reportComma(build, joined.end, start);
    last = { end, faulty: build.problems.length > before || joined?.faulty === true };
  }
  return items;
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
    if (end !== undefined && !separated.has(item)) reportComma(build, end, start);
    end = spanOfNode(item).end;
  }
}

function reportComma(build: Build, end: number, start: number): void {
  if (hasMeaningless(build, end, start)) return;
  build.report('FC0106', { start: end, end }, 'expected `,` here', { expected: [','] });
}
