/** Reading concrete syntax nodes: children by label, in source order, and spans. */
import type { CstElement, CstNode, IToken } from 'chevrotain';
import { spanOf } from './lex.js';
import type { Name, Span } from './syntax.js';

function isNode(element: CstElement): element is CstNode {
  return 'children' in element;
}

/** Children nodes under a label or rule name, in source order. */
export function nodes(parent: CstNode, label: string): readonly CstNode[] {
  return (parent.children[label] ?? []).filter(isNode);
}

export function node(parent: CstNode, label: string): CstNode | undefined {
  return nodes(parent, label)[0];
}

/** Child tokens under a label or token name, in source order. */
export function tokens(parent: CstNode, label: string): readonly IToken[] {
  return (parent.children[label] ?? []).filter((element): element is IToken => !isNode(element));
}

export function token(parent: CstNode, label: string): IToken | undefined {
  return tokens(parent, label)[0];
}

/** All children, but those under some labels. */
export function elementsOf(parent: CstNode, except: readonly string[] = []): readonly CstElement[] {
  return Object.entries(parent.children).flatMap(([label, elements]) =>
    except.includes(label) ? [] : (elements ?? []),
  );
}

/** The first token of a child. */
export function firstToken(element: CstElement): IToken {
  if (!isNode(element)) return element;
  return elementsOf(element)
    .map(firstToken)
    .reduce((first, each) => (each.startOffset < first.startOffset ? each : first));
}

export function spanOfElement(element: CstElement): Span {
  return isNode(element) ? spanOfNode(element) : spanOf(element);
}

/** The only child node of a rule that just chooses. */
export function onlyNode(parent: CstNode): CstNode {
  return Object.values(parent.children).flat().find(isNode)!;
}

/** From the first to the last token of a node. */
export function spanOfNode(of: CstNode): Span {
  return { start: of.location!.startOffset, end: of.location!.endOffset! + 1 };
}

export function nameOf(of: IToken): Name {
  return { text: of.image, span: spanOf(of) };
}

/** The empty span after another one: where something is missing. */
export function after(span: Span): Span {
  return { start: span.end, end: span.end };
}

/** The `item` children of a list that have a `separator` child between themselves and the item before. */
export function separatedItems(list: CstNode): ReadonlySet<CstNode> {
  const separators = tokens(list, 'separator');
  const separated = new Set<CstNode>();
  let at = 0;
  let end = -1;
  for (const item of nodes(list, 'item')) {
    while (at < separators.length && separators[at]!.startOffset < end) at++;
    if (at < separators.length && separators[at]!.startOffset <= item.location!.startOffset)
      separated.add(item);
    end = spanOfNode(item).end;
  }
  return separated;
}

/** The signs that no element follows before the next sign; both lists are in source order. */
export function signsWithout(signs: readonly IToken[], offsets: readonly number[]): readonly IToken[] {
  let at = 0;
  return signs.filter((sign, index) => {
    while (at < offsets.length && offsets[at]! < sign.startOffset) at++;
    return !(at < offsets.length && offsets[at]! < (signs[index + 1]?.startOffset ?? Infinity));
  });
}
