/** Completion: what the grammar and the names in scope allow at an offset. */
import { CompletionItemKind, InsertTextFormat, type CompletionItem } from 'vscode-languageserver/node.js';
import { PARAM_TYPES } from '../../compiler/check/param-types.js';
import { STD_LIBRARY } from '../../compiler/std/library.generated.js';
import { defaultOf, ITEMS, PROPERTIES, WORDS, type PropertyDoc } from '../../grammar/reference.js';
import type { PlanDecl, TopologyDecl } from '../../grammar/syntax.js';
import { validSizes } from './mesh-sizes.js';
import { positionAt, type GrammarPosition, type OpenBracket } from './position.js';
import { globalsOf, placesOf, stagesOf, subjectOf, type Site } from './resolve.js';
import { describeSite } from './describe.js';
import type { GlobalKind } from './names.js';
import type { Workspace } from './workspace.js';

interface Asked {
  readonly workspace: Workspace;
  readonly path: string;
  readonly position: GrammarPosition;
  /** The plan that the offset lies in, as far as it can be read. */
  readonly plan: PlanDecl | undefined;
  readonly topology: TopologyDecl | undefined;
}

/** What may be written at an offset of a document, best first. */
export function completionsAt(workspace: Workspace, path: string, offset: number): readonly CompletionItem[] {
  const document = workspace.document(path);
  const position = document && positionAt(document.text, document.tokens, offset);
  if (document === undefined || position === undefined) return [];
  const around = document.tree.file.items.findLast(({ span }) => span.start <= offset);
  const asked: Asked = {
    workspace,
    path,
    position,
    plan: around?.kind === 'plan' ? around : undefined,
    topology: around?.kind === 'topology' ? around : undefined,
  };
  const items = complete(asked);
  return items.map((item, index) => ({ ...item, sortText: String(index).padStart(4, '0') }));
}

type Items = readonly CompletionItem[];

function complete(asked: Asked): Items {
  const { open, before, inString } = asked.position;
  if (inString) return completeString(asked);
  const block = open.findLast(({ bracket }) => bracket === '{');
  const inner = open.at(-1);
  if (inner !== undefined && inner.bracket !== '{') return completeInBracket(asked, inner);
  const place = placeOf(block);
  if (place === 'record') return completeRecord(asked, block!);
  if (place === 'import') return importedNames(asked);
  if (before.length === 0) return [...itemsOf(place), ...propertiesOf(place), ...topologyItems(place)];
  return completeMember(asked, place);
}

/** The kind of block that a bracket opens, by the words before it. */
function placeOf(block: OpenBracket | undefined): string {
  if (block === undefined) return 'file';
  const [first = ''] = block.head;
  if (block.head.at(-1) === ':') return 'record';
  if (first === 'override') return 'stage';
  if (first in ITEMS || first in PROPERTIES || first === 'import') return first;
  // `node[16] {` in a topology.
  return 'topology';
}

function itemsOf(place: string): Items {
  return Object.entries(ITEMS[place] ?? {}).map(([label, { doc, snippet }]) => ({
    label,
    kind: CompletionItemKind.Keyword,
    documentation: doc,
    insertText: snippet,
    insertTextFormat: InsertTextFormat.Snippet,
  }));
}

function topologyItems(place: string): Items {
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

function propertyTable(place: string): Readonly<Record<string, PropertyDoc>> {
  return place in PROPERTIES ? PROPERTIES[place as keyof typeof PROPERTIES] : {};
}

function propertiesOf(place: string): Items {
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

/** The rest of a member whose first words stand there. */
function completeMember(asked: Asked, place: string): Items {
  const { before } = asked.position;
  const first = before[0]!;
  const last = before.at(-1)!;
  if (before[1] === ':' && place !== 'file' && first !== 'stage')
    return completeValue(asked, place, first, before.slice(2));
  switch (place) {
    case 'file':
      return completeItem(asked, first, last);
    case 'topology':
      if (last === ':') return named(asked, 'device');
      if (first === 'link' && (before.length === 1 || last === '<->' || last === '.'))
        return placesHere(asked);
      return [];
    case 'plan':
      if (first === 'stage') return completeStage(asked, last);
      if (first === 'flow' && (last === 'flow' || last === '->'))
        return [
          ...words({ requests: 'Where requests come from.', results: 'Where answers go.' }),
          ...stages(asked),
        ];
      return [];
    case 'stage':
      return completeStageMember(first, last);
    case 'flow':
      if (last === 'to') return stages(asked);
      return completeCondition(asked, last);
    case 'expect':
      return completeExpectation(asked, first, last);
    default:
      return [];
  }
}

function completeItem(asked: Asked, first: string, last: string): Items {
  switch (first) {
    case 'plan':
      if (last === 'for') return named(asked, 'model');
      if (last === 'on') return named(asked, 'topology');
      if (last === 'from') return named(asked, 'plan');
      return asked.position.before.length >= 2
        ? keywords({
            for: 'The model that the plan serves.',
            on: 'The topology that it runs on.',
            from: 'Takes over another plan.',
          })
        : [];
    case 'param':
      return last === ':'
        ? [...PARAM_TYPES.keys()].map((label) => ({ label, kind: CompletionItemKind.TypeParameter }))
        : [];
    case 'import':
      return last === '}' ? keywords({ from: 'The file that declares them.' }) : [];
    default:
      return [];
  }
}

function completeStage(asked: Asked, last: string): Items {
  if (last === 'on' || last === '.') return places(asked);
  if (last === 'like') return stages(asked);
  if (last === ':' || last === '+' || last === 'stage') return words(WORDS.phases);
  return keywords({ on: 'The devices of the stage.', like: 'Starts from another stage.' });
}

function completeStageMember(first: string, last: string): Items {
  if (first === 'mesh') return keywords({ auto: 'The compiler chooses.' });
  if (last === 'on') return words(WORDS.axes);
  if (first === 'shard' || first === 'replicate') return last === 'by' ? [] : words(WORDS.dims);
  return first === 'split' ? words({ layers: 'Layers of the model.' }) : [];
}

function completeCondition(asked: Asked, last: string): Items {
  if (last === '.') {
    const [before] = asked.position.before.slice(-2);
    return words(before === 'requests' ? { empty: 'No request waits.' } : WORDS.conditions);
  }
  if (last === 'when' || last === 'and' || last === 'or' || last === 'not')
    return [
      ...words({ requests: 'The requests that wait.' }),
      ...tiers(asked),
      ...keywords({ not: 'The opposite.' }),
    ];
  return keywords({ when: 'The condition.', and: 'Both.', or: 'Either.' });
}

function completeExpectation(asked: Asked, first: string, last: string): Items {
  if (first === 'never') {
    if (last === 'never') return words(WORDS.ops);
    if (last === 'of') return words(WORDS.operands);
    if (last === 'in') return stages(asked);
    return keywords({ of: 'What the op carries.', in: 'The stage.' });
  }
  if (last === 'for') return named(asked, 'workload');
  return keywords({ for: 'The workload.' });
}

/** The value of a property, `written` of it being there. */
function completeValue(asked: Asked, place: string, property: string, written: readonly string[]): Items {
  const value = propertyTable(place)[property]?.value;
  const last = written.at(-1);
  if (value === undefined) return [];
  if (value.kind === 'tiers') {
    if (last === undefined || last === '->') return tiers(asked);
    return keywords({ up: 'Caps the tier: `up to 400 GiB`.' });
  }
  if (last !== undefined && /^[\d.]/.test(last))
    return value.kind === 'quantity' ? units(value.units) : value.kind === 'length' ? units(['tokens']) : [];
  if (value.kind === 'words')
    return [
      ...value.words.map((label) => ({ label, kind: CompletionItemKind.EnumMember })),
      ...named(asked, 'param'),
    ];
  if (value.kind === 'truth')
    return ['true', 'false'].map((label) => ({ label, kind: CompletionItemKind.EnumMember }));
  const example: Items =
    last === undefined && 'example' in value
      ? [{ label: value.example, kind: CompletionItemKind.Value, detail: 'for example' }]
      : [];
  return [
    ...(value.kind === 'length' ? words(WORDS.distributions) : []),
    ...named(asked, 'param'),
    ...example,
  ];
}

function completeRecord(asked: Asked, block: OpenBracket): Items {
  const property = block.head[0]!;
  const value = propertyTable(placeOf(asked.position.open.at(-2)))[property]?.value;
  if (value?.kind !== 'record') return [];
  const { before } = asked.position;
  if (before.length === 0)
    return value.keys.map((label) => ({
      label,
      kind: CompletionItemKind.Property,
      insertText: `${label}: `,
    }));
  if (/^[\d.]/.test(before.at(-1)!)) return units(unitsOfRecord(value.example));
  return named(asked, 'param');
}

/** Units that go with the one in the example of a record. */
function unitsOfRecord(example: string): readonly string[] {
  if (example.includes('FLOPS')) return ['TFLOPS', 'GFLOPS', 'PFLOPS'];
  return example.includes('%') ? ['%'] : ['GB/s', 'GiB/s', 'MB/s'];
}

function completeInBracket(asked: Asked, { bracket, head }: OpenBracket): Items {
  const { before } = asked.position;
  const last = before.at(-1);
  if (bracket === '(' && head[0] === 'mesh' && head.length === 1) {
    if (last === undefined) return words(WORDS.axes, ': ');
    if (last !== ':') return [];
    const sizes =
      asked.plan === undefined ? [] : validSizes(asked.workspace, asked.path, asked.plan, asked.position);
    return [
      ...sizes.map((size) => ({
        label: String(size),
        kind: CompletionItemKind.Value,
        detail: 'fits devices and model',
      })),
      ...keywords({ fill: 'What the other axes leave.' }),
      ...named(asked, 'param'),
    ];
  }
  if (bracket === '(') {
    const [measure] = head.slice(-1);
    if (last === ':') return words({ layer: '', step: '', token: '', transition: '' });
    if (measure === 'peak' && before.length === 0 && head.length === 1)
      return [...stages(asked), ...places(asked)];
    return [...stages(asked), ...words({ per: 'What the figure is for.' }, ': ')];
  }
  return named(asked, 'param');
}

function completeString({ workspace, path, position }: Asked): Items {
  if (position.before[0] !== 'import' && position.before.at(-1) !== 'from') return [];
  const files = workspace
    .allPaths()
    .filter((other) => other !== path)
    .map((other) => relativeModule(path, other));
  return [...Object.keys(STD_LIBRARY), ...files].map((label) => ({ label, kind: CompletionItemKind.Module }));
}

/** How a file is named in an import of another one. */
function relativeModule(from: string, to: string): string {
  const [a, b] = [from.split('/').slice(0, -1), to.split('/')];
  let shared = 0;
  while (shared < a.length && a[shared] === b[shared]) shared++;
  const up = '../'.repeat(a.length - shared);
  return `${up === '' ? './' : up}${b.slice(shared).join('/')}`;
}

/** Names of the file that an import names, where it does already. */
function importedNames({ workspace, path, position }: Asked): Items {
  const document = workspace.document(path)!;
  const around = document.tree.file.items.findLast(({ span }) => span.start <= position.typingStart);
  if (around?.kind !== 'import' || around.from.kind === 'error') return [];
  return globalsOf(workspace, workspace.resolve(path, around.from.value)).map(({ text, site }) =>
    siteItem(site, text),
  );
}

const KINDS: Readonly<Record<Site['node']['kind'], CompletionItemKind>> = {
  device: CompletionItemKind.Class,
  topology: CompletionItemKind.Module,
  model: CompletionItemKind.Struct,
  workload: CompletionItemKind.Event,
  plan: CompletionItemKind.Class,
  param: CompletionItemKind.Variable,
  stage: CompletionItemKind.Method,
  devices: CompletionItemKind.Field,
  group: CompletionItemKind.Folder,
  tier: CompletionItemKind.Field,
};

function siteItem(site: Site, text = site.node.name.text): CompletionItem {
  return {
    label: text,
    kind: KINDS[site.node.kind],
    detail: describeSite(site),
    ...(site.node.doc !== undefined && { documentation: site.node.doc }),
  };
}

function named({ workspace, path }: Asked, kind: GlobalKind): Items {
  return globalsOf(workspace, path)
    .filter(({ site }) => site.node.kind === kind)
    .map(({ text, site }) => siteItem(site, text));
}

function stages({ workspace, path, plan }: Asked): Items {
  return plan === undefined ? [] : stagesOf(workspace, path, plan).map((site) => siteItem(site));
}

function placeItems(topology: TopologyDecl | undefined, wanted: readonly string[], tail = false): Items {
  if (topology === undefined) return [];
  return placesOf(topology)
    .filter(({ place }) => wanted.includes(place.kind))
    .map(({ within, place }) => ({
      label: tail ? place.name.text : [...within, place.name.text].join('.'),
      kind: KINDS[place.kind],
      ...(place.doc !== undefined && { documentation: place.doc }),
    }));
}

function topologyOfPlan({ workspace, path, plan }: Asked): TopologyDecl | undefined {
  return plan && (subjectOf(workspace, path, plan, 'topology')?.node as TopologyDecl | undefined);
}

function places(asked: Asked): Items {
  const { before } = asked.position;
  return placeItems(
    topologyOfPlan(asked),
    ['devices', ...(before.at(-1) === '.' ? [] : ['group'])],
    before.at(-1) === '.',
  );
}

function tiers(asked: Asked): Items {
  return placeItems(topologyOfPlan(asked), ['devices', 'tier'], true);
}

function placesHere(asked: Asked): Items {
  return placeItems(asked.topology, ['devices', 'group', 'tier'], true);
}

function units(each: readonly string[]): Items {
  return each.map((label) => ({ label, kind: CompletionItemKind.Unit }));
}

function words(docs: Readonly<Record<string, string>>, suffix = ''): Items {
  return Object.entries(docs).map(([label, documentation]) => ({
    label,
    kind: CompletionItemKind.EnumMember,
    documentation,
    ...(suffix !== '' && { insertText: `${label}${suffix}` }),
  }));
}

function keywords(docs: Readonly<Record<string, string>>): Items {
  return Object.entries(docs).map(([label, documentation]) => ({
    label,
    kind: CompletionItemKind.Keyword,
    documentation,
  }));
}
