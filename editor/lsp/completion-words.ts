/** Completions of the language itself: items, properties, units and words of the reference. */
import { CompletionItemKind, InsertTextFormat, type CompletionItem } from 'vscode-languageserver/node.js';
import { SHAPE } from '../../compiler/check/declared-shape.js';
import { familyNamed, foreignTo } from '../../compiler/model/families.js';
import { ITEMS } from '../../grammar/reference-words.js';
import type { GrammarPosition } from './position.js';
import { defaultOf, PROPERTIES, type PropertyDoc } from '../../grammar/reference.js';

export type Items = readonly CompletionItem[];

/** Words of the other members of a block. */
type Beside = GrammarPosition['beside'];

/** Items whose key is not in the block yet. */
export function notGiven(items: Items, beside: Beside): Items {
  const given = new Set(beside.flatMap(([key, colon]) => (colon === ':' ? [key] : [])));
  return items.filter(({ label }) => !given.has(label));
}

/** What a block may declare besides what is in it. */
export function itemsOf(place: string, beside: Beside): Items {
  const declared = new Set(beside.map(([first]) => first));
  const items = Object.entries(ITEMS[place] ?? {}).filter(
    ([label, { once }]) => once === undefined || !declared.has(label),
  );
  return items.map(([label, { doc, snippet }]) => ({
    label,
    kind: CompletionItemKind.Keyword,
    documentation: doc,
    insertText: snippet,
    insertTextFormat: InsertTextFormat.Snippet,
  }));
}

/** What a topology may declare and no keyword begins. */
export function topologyItems(place: string): Items {
  if (place !== 'topology') return [];
  return [
    {
      label: 'gpu',
      kind: CompletionItemKind.Snippet,
      insertText: 'gpu[${1:8}]: ${2:device}',
      insertTextFormat: InsertTextFormat.Snippet,
      documentation: 'Devices of one kind.',
    },
    {
      label: 'node',
      kind: CompletionItemKind.Snippet,
      insertText: 'node[${1:2}] {\n  $0\n}',
      insertTextFormat: InsertTextFormat.Snippet,
      documentation: 'A group of devices and tiers, several times.',
    },
  ];
}

/** The properties of a block by name. */
export function propertyTable(place: string): Readonly<Record<string, PropertyDoc>> {
  return place in PROPERTIES ? PROPERTIES[place as keyof typeof PROPERTIES] : {};
}

/** Those that a block can have beside the others, as completions. */
export function propertiesOf(place: string, beside: Beside): Items {
  const items = notGiven(allPropertiesOf(place), beside);
  return place === 'model' ? ofModel(items, beside) : items;
}

/** A model has its shape from files or from properties, and of these what its family has. */
function ofModel(items: Items, beside: Beside): Items {
  const given = new Map(beside.flatMap(([key, colon, value]) => (colon === ':' ? [[key!, value]] : [])));
  const source = given.get('source');
  if (source !== undefined && source !== 'random')
    return items.filter(({ label }) => !Object.hasOwn(SHAPE, label) || label === 'context');
  const family = familyNamed(given.get('family') ?? '');
  const foreign: readonly string[] = family === undefined ? [] : foreignTo(family);
  // The context of files may be narrowed, so it alone is no shape.
  const hasShape = [...given.keys()].some((key) => Object.hasOwn(SHAPE, key) && key !== 'context');
  return items
    .filter(({ label }) => !foreign.includes(label))
    .map((item) =>
      item.label === 'source' && hasShape ? { ...item, insertText: 'source: random(${1:1})' } : item,
    );
}

function allPropertiesOf(place: string): Items {
  return Object.entries(propertyTable(place)).map(([label, property]) => {
    const { doc, value } = property;
    const standard = defaultOf(property);
    return {
      label,
      kind: CompletionItemKind.Property,
      detail: standard === undefined ? 'required' : `default: ${standard.replaceAll('`', '')}`,
      documentation: doc,
      insertText:
        value.kind === 'words'
          ? `${label}: `
          : `${label}: \${1:${'example' in value ? value.example.replace(/[$}]/g, '\\$&') : ''}}`,
      insertTextFormat: InsertTextFormat.Snippet,
    };
  });
}

export function units(each: readonly string[]): Items {
  return each.map((label) => ({ label, kind: CompletionItemKind.Unit }));
}

/** Words that a property takes; `suffix` follows them where they are taken. */
export function words(docs: Readonly<Record<string, string>>, suffix = ''): Items {
  return Object.entries(docs).map(([label, documentation]) => ({
    label,
    kind: CompletionItemKind.EnumMember,
    documentation,
    ...(suffix !== '' && { insertText: `${label}${suffix}` }),
  }));
}

/** Words of the grammar. */
export function keywords(docs: Readonly<Record<string, string>>): Items {
  return Object.entries(docs).map(([label, documentation]) => ({
    label,
    kind: CompletionItemKind.Keyword,
    documentation,
  }));
}

/** Signs between two operands. */
export function operators(docs: Readonly<Record<string, string>>): Items {
  return Object.entries(docs).map(([label, documentation]) => ({
    label,
    kind: CompletionItemKind.Operator,
    documentation,
  }));
}
