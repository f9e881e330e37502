/** Semantic tokens: what each word is, by the tree and by what it stands for. */
import { membersOf, type AnyItem } from '../../grammar/items.js';
import { spanOf } from '../../grammar/lex.js';
import { isName, keywordOf, NumberToken, StringToken, Unit } from '../../grammar/tokens.js';
import type { PlanDocument } from './document.js';
import { resolveName, type Site } from './resolve.js';
import { toPosition } from './text.js';
import type { Workspace } from './workspace.js';

/** In the order of their numbers in the protocol. */
export const TOKEN_TYPES = [
  'keyword',
  'class',
  'struct',
  'namespace',
  'event',
  'variable',
  'method',
  'property',
  'enumMember',
  'number',
  'string',
  'comment',
  'type',
] as const;
export const TOKEN_MODIFIERS = ['declaration', 'defaultLibrary'] as const;

type TokenKind = (typeof TOKEN_TYPES)[number];

const SITE_KINDS: Readonly<Record<Site['node']['kind'], TokenKind>> = {
  device: 'class',
  topology: 'namespace',
  model: 'struct',
  workload: 'event',
  plan: 'class',
  param: 'variable',
  stage: 'method',
  devices: 'property',
  group: 'namespace',
  tier: 'property',
};

interface Classified {
  readonly start: number;
  readonly length: number;
  readonly kind: TokenKind;
  readonly modifiers: number;
}

/** The tokens of a document in the protocol's relative encoding. */
export function semanticTokens(workspace: Workspace, document: PlanDocument): number[] {
  const data: number[] = [];
  let [lastLine, lastCharacter] = [0, 0];
  for (const { start, length, kind, modifiers } of classify(workspace, document)) {
    const { line, character } = toPosition(document.lines, start);
    data.push(
      line - lastLine,
      line === lastLine ? character - lastCharacter : character,
      length,
      TOKEN_TYPES.indexOf(kind),
      modifiers,
    );
    [lastLine, lastCharacter] = [line, character];
  }
  return data;
}

function classify(workspace: Workspace, document: PlanDocument): readonly Classified[] {
  const { path, tokens, tree, names } = document;
  const uses = new Map(names.map((use) => [use.span.start, use]));
  const properties = new Set<number>();
  const visit = (items: readonly AnyItem[]): void => {
    for (const item of items) {
      if (item.kind === 'property') properties.add(item.name.span.start);
      visit(membersOf(item));
    }
  };
  visit(tree.file.items);
  const found = tokens.tokens.flatMap((token): Classified[] => {
    const { start, end } = spanOf(token);
    const as = (kind: TokenKind, modifiers = 0): Classified[] => [
      { start, length: end - start, kind, modifiers },
    ];
    if (token.tokenType === NumberToken) return as('number');
    if (token.tokenType === Unit) return as('type');
    if (token.tokenType === StringToken) return as('string');
    if (!isName(token)) return [];
    const use = uses.get(start);
    const site = use && resolveName(workspace, path, use);
    if (use !== undefined && site !== undefined)
      return as(SITE_KINDS[site.node.kind], (use.declares ? 1 : 0) | (site.path.startsWith('std/') ? 2 : 0));
    if (properties.has(start)) return as('property');
    return as(keywordOf.has(token.image) ? 'keyword' : 'enumMember');
  });
  // A token of the protocol stays on its line.
  const comments = tree.comments.flatMap(({ text, span }) =>
    [...text.matchAll(/[^\r\n]+/g)].map(({ 0: line, index }): Classified => ({
      start: span.start + index,
      length: line.length,
      kind: 'comment',
      modifiers: 0,
    })),
  );
  return [...found, ...comments].filter(({ length }) => length > 0).sort((a, b) => a.start - b.start);
}
