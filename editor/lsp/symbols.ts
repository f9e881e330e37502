/** The outline of a file, and names across the workspace. */
import { SymbolKind, type DocumentSymbol } from 'vscode-languageserver/node.js';
import { membersOf, type AnyItem } from '../../grammar/items.js';
import type { Name } from '../../grammar/syntax.js';
import type { PlanDocument } from './document.js';
import { toRange } from './text.js';

const KINDS: Readonly<Partial<Record<AnyItem['kind'], SymbolKind>>> = {
  param: SymbolKind.Variable,
  device: SymbolKind.Class,
  topology: SymbolKind.Module,
  model: SymbolKind.Struct,
  workload: SymbolKind.Event,
  plan: SymbolKind.Class,
  stage: SymbolKind.Method,
  kv: SymbolKind.Object,
  flow: SymbolKind.Object,
  expect: SymbolKind.Object,
  devices: SymbolKind.Field,
  group: SymbolKind.Namespace,
  tier: SymbolKind.Field,
};

/** The declarations of a file, each with those inside it. */
export function outlineOf(document: PlanDocument): DocumentSymbol[] {
  return document.tree.file.items.flatMap((item) => symbolOf(document, item));
}

function symbolOf(document: PlanDocument, item: AnyItem): DocumentSymbol[] {
  const kind = KINDS[item.kind];
  if (kind === undefined) return [];
  const { lines, text } = document;
  const name: Name =
    'name' in item
      ? item.name
      : { text: item.kind, span: { start: item.span.start, end: item.span.start + item.kind.length } };
  const head = text.slice(item.span.start, item.span.end).split(/[{\n]/)[0]!.trim();
  return [
    {
      name: name.text === '' ? item.kind : name.text,
      detail: head,
      kind,
      range: toRange(lines, item.span),
      selectionRange: toRange(lines, name.text === '' ? item.span : name.span),
      children: membersOf(item).flatMap((member) => symbolOf(document, member)),
    },
  ];
}
