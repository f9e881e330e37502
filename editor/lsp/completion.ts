/** Completion: what the grammar and the names in scope allow at an offset. */
import { CompletionItemKind, type CompletionItem } from 'vscode-languageserver/node.js';
import { STD_LIBRARY } from '../../compiler/std/library.generated.js';
import { ITEMS, WORDS } from '../../grammar/reference-words.js';
import { BYTES, PROPERTIES, TIMES } from '../../grammar/reference.js';
import { devices, importedNames, named, places, placesHere, stages, tiers } from './completion-names.js';
import type { Asked } from './completion-names.js';
import {
  completeDomain,
  completeParam,
  completeRecord,
  completeValue,
  isNumber,
  quantity,
  quantityParams,
} from './completion-values.js';
import {
  itemsOf,
  keywords,
  notGiven,
  operators,
  propertiesOf,
  topologyItems,
  units,
  words,
} from './completion-words.js';
import type { Items } from './completion-words.js';
import { validSizes } from './mesh-sizes.js';
import { positionAt, type GrammarPosition, type OpenBracket } from './position.js';
import { toRange } from './text.js';
import { isLocal } from './uri.js';
import type { Workspace } from './workspace.js';

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
  // Editors differ in what they take for the word that is typed, in a path or behind a digit above all.
  const range = toRange(document.lines, { start: position.typingStart, end: offset });
  return complete(asked).map(({ insertText, insertTextFormat, ...item }, index) => ({
    ...item,
    // What stands behind the word already is not put in again.
    ...(position.goesOn || insertText === undefined
      ? { textEdit: { range, newText: item.label } }
      : { textEdit: { range, newText: insertText }, ...(insertTextFormat && { insertTextFormat }) }),
    sortText: String(index).padStart(4, '0'),
  }));
}

function complete(asked: Asked): Items {
  const { open, before, beside, inString } = asked.position;
  if (inString) return completeString(asked);
  const block = open.findLast(({ bracket }) => bracket === '{');
  const inner = open.at(-1);
  if (inner !== undefined && inner.bracket !== '{') return completeInBracket(asked, inner);
  const place = placeOf(block);
  if (place === 'record') return completeRecord(asked, placeOf(open.at(-2)), block!.head[0]!);
  if (place === 'import') return completeImported(asked);
  if (before.length === 0)
    return [...itemsOf(place, beside), ...propertiesOf(place, beside), ...topologyItems(place)];
  return completeMember(asked, place);
}

/** A name that an import takes over, then what it is called here. */
function completeImported(asked: Asked): Items {
  const { before } = asked.position;
  if (before.length === 0) return importedNames(asked);
  return before.length === 1 ? keywords({ as: 'Another name for it in this file.' }) : [];
}

/** The kind of block that a bracket opens, by the words before it. */
function placeOf(block: OpenBracket | undefined): string {
  if (block === undefined) return 'file';
  const [first = ''] = block.head;
  if (block.head.at(-1) === ':') return 'record';
  if (first in ITEMS || first in PROPERTIES || first === 'import') return first;
  // `node[16] {` in a topology.
  return 'topology';
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
        return placesHere(asked, groupsAround(asked));
      return [];
    case 'plan':
      if (first === 'stage') return completeStage(asked, last);
      if (last === 'flow') return words({ requests: 'Where requests come from.' });
      if (first === 'flow' && last === '->')
        return notWritten(asked, [...stages(asked), ...words({ results: 'Where answers go.' })]);
      return [];
    case 'stage':
    case 'override':
      return completeStageMember(asked, place);
    case 'flow':
      if (last === 'to') return stages(asked);
      return completeCondition(asked, before);
    case 'expect':
      return completeExpectation(asked, first, last);
    default:
      return [];
  }
}

/** Groups of the topology that are open around the offset, outermost first. */
function groupsAround({ position: { open } }: Asked): readonly string[] {
  return open.slice(1).flatMap(({ bracket, head: [name] }) => (bracket === '{' ? (name ?? []) : []));
}

function completeItem(asked: Asked, first: string, last: string): Items {
  switch (first) {
    case 'plan':
      if (last === 'for') return named(asked, 'model');
      if (last === 'on') return named(asked, 'topology');
      if (last === 'from') return named(asked, 'plan').filter(({ label }) => label !== asked.plan?.name.text);
      return asked.position.before.length >= 2
        ? notWritten(
            asked,
            keywords({
              for: 'The model that the plan serves.',
              on: 'The topology that it runs on.',
              from: 'Takes over another plan.',
            }),
          )
        : [];
    case 'param':
      return completeParam(asked);
    case 'import':
      return last === '}' ? keywords({ from: 'The file that declares them.' }) : [];
    default:
      return [];
  }
}

function completeStage(asked: Asked, last: string): Items {
  if (last === 'on' || last === '.' || last === ',') return places(asked);
  if (last === 'like') return stages(asked);
  if (last === 'stage') return words(WORDS.phases).filter(({ label }) => !isDeclared(asked, label));
  if (last === ':' || last === '+') return notWritten(asked, words(WORDS.phases));
  return notWritten(asked, keywords({ on: 'The devices of the stage.', like: 'Starts from another stage.' }));
}

/** Whether the plan has a stage of the name already, other than the one that is typed. */
function isDeclared({ plan, position }: Asked, name: string): boolean {
  return (
    plan?.members.some(
      (member) =>
        member.kind === 'stage' &&
        member.name.text === name &&
        member.name.span.start !== position.typingStart,
    ) === true
  );
}

/** Items that the member does not have yet, where none can come twice. */
function notWritten({ position }: Asked, items: Items): Items {
  // What the member itself is called is none of its clauses.
  const written = position.before.slice(2);
  return items.filter(({ label }) => !written.includes(label));
}

function completeStageMember({ position: { before, beside } }: Asked, place: string): Items {
  const first = before[0]!;
  const last = before.at(-1)!;
  if (first === 'mesh') return keywords({ auto: 'The compiler chooses.' });
  if (last === 'on') return words(WORDS.axes);
  if (first === 'override') {
    if (last === 'override') return words({ layers: 'Layers of the model, from 0 on: `layers[0..1]`.' });
    return last === '.' ? words(PARTS) : [];
  }
  if (first === 'shard' || first === 'replicate') {
    if (before.includes('on') || before.includes('by')) return [];
    if (last !== first && last !== ',')
      return first === 'shard'
        ? AXIS_OF
        : keywords({ by: 'How many times every one is stored, so that `tp` may exceed their number.' });
    const dims = words(WORDS.dims).filter(({ label }) => !before.includes(label));
    // What is replicated may be all by now, and the comma part the next member from it.
    return first === 'replicate' && last === ','
      ? [...dims, ...itemsOf(place, beside), ...propertiesOf(place, beside)]
      : dims;
  }
  if (first !== 'split' || before.includes('on')) return [];
  return last === first ? words({ layers: 'Layers of the model.' }) : AXIS_OF;
}

/** What follows dimensions that are split. */
const AXIS_OF = keywords({ on: 'The axis of the mesh that splits them.' });

/** Parts of a layer that can be sharded by themselves. */
const PARTS = { attention: 'The attention of a layer.', mlp: 'The MLP of a layer.' };

/** A condition of a rule, and the word before it. */
function completeCondition(asked: Asked, before: readonly string[]): Items {
  const last = before.at(-1)!;
  const previous = before.at(-2) ?? '';
  if (!before.includes('when')) return keywords({ when: 'The condition.' });
  if (last === '.') return words(previous === 'requests' ? { empty: 'No request waits.' } : WORDS.conditions);
  if (last === 'used' && previous === '.') return operators(ORDERS);
  if (COMPARISON.test(last)) return quantityParams(asked, 'fraction');
  if (isNumber(last)) return units(['%']);
  if (STARTS_CONDITION.has(last))
    return [
      ...words({ requests: 'The requests that wait.' }),
      ...tiers(asked),
      ...keywords({ not: 'The opposite.' }),
    ];
  // A tier alone says nothing yet.
  return STARTS_CONDITION.has(previous) ? [] : keywords({ and: 'Both.', or: 'Either.' });
}

/** Words behind which a condition begins. */
const STARTS_CONDITION: ReadonlySet<string> = new Set(['when', 'and', 'or', 'not']);
/** What a fraction of a tier can be held against a bound by. */
const ORDERS = { '<': 'Less is in use.', '<=': 'No more.', '>': 'More is in use.', '>=': 'No less.' };
const COMPARISON = /^(?:[<>]=?|[=!]=)$/;
/** Measures of a run, which can be of a workload, and units of those that have some. */
const OF_RUNS = ['transitions', 'time', 'bytes'];
const UNITS_OF_MEASURES: Readonly<Record<string, readonly string[]>> = {
  peak: BYTES,
  bytes: BYTES,
  time: TIMES,
};

function completeExpectation(asked: Asked, first: string, last: string): Items {
  if (first === 'never') {
    if (last === 'never') return words(WORDS.ops);
    if (last === 'of') return words(WORDS.operands);
    if (last === 'in') return stages(asked);
    // They come in this order.
    if (asked.position.before.includes('in')) return [];
    return notWritten(asked, keywords({ of: 'What the op carries.', in: 'The stage.' }));
  }
  if (last === 'for') return named(asked, 'workload');
  const { before } = asked.position;
  const isBounded = before.some((word) => COMPARISON.test(word)) && !COMPARISON.test(last);
  return [
    ...(isNumber(last) ? units(UNITS_OF_MEASURES[first] ?? []) : []),
    ...(isBounded && OF_RUNS.includes(first) && !before.includes('for')
      ? keywords({ for: 'The workload.' })
      : []),
  ];
}

function completeInBracket(asked: Asked, { bracket, head }: OpenBracket): Items {
  const { before } = asked.position;
  const last = before.at(-1);
  if (bracket === '(' && head[0] === 'mesh' && head.length === 1) {
    if (last === undefined) return notGiven(words(WORDS.axes, ': '), asked.position.beside);
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
      ...quantityParams(asked, 'number'),
    ];
  }
  if (bracket === '(') {
    if (head[0] === 'to') return completeCondition(asked, [...head, ...before]);
    const name = head.at(-1) ?? '';
    return Object.hasOwn(ARGUMENTS, name)
      ? completeLengths(asked, ARGUMENTS[name]!)
      : completeMeasure(asked, name);
  }
  return head[0] === 'param' ? completeDomain(asked, head) : quantity(asked, last, 'number');
}

const OF_MEAN = { mean: 'The length that they are about.', deviation: 'How far they are from it.' };
/** Arguments of distributions of lengths. */
const ARGUMENTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  uniform: { least: 'The shortest length.', most: 'The longest one.' },
  normal: OF_MEAN,
  lognormal: OF_MEAN,
};

/** An argument of a distribution: a length, and before it the name of the argument where somebody wants to give it. */
function completeLengths(asked: Asked, names: Readonly<Record<string, string>>): Items {
  const { before, beside } = asked.position;
  const lengths = quantity(asked, before.at(-1), 'tokens');
  return before.length > 0 ? lengths : [...lengths, ...notGiven(words(names, ': '), beside)];
}

/** What a figure of a measure can be for. */
const PER: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  collectives: { layer: 'One layer.', step: 'One step.' },
  bytes: { token: 'KV of one token.', transition: 'Weights of one change of stage.' },
};

/** An argument of a measure: a stage or an edge comes first, then devices or what the figure is for. */
function completeMeasure(asked: Asked, measure: string): Items {
  const { before, beside, ahead } = asked.position;
  const last = before.at(-1);
  const per = PER[measure];
  if (last === ':') return per === undefined ? [] : words(per);
  if (ahead === 0) {
    if (last === '->') return stages(asked).filter(({ label }) => !before.includes(label));
    return last === undefined ? stages(asked) : [];
  }
  if (measure === 'peak') return last === undefined || last === '.' ? devices(asked) : [];
  return last === undefined && per !== undefined
    ? notGiven(words({ per: 'What the figure is for.' }, ': '), beside)
    : [];
}

/** Whether the names of plan files may be written at an offset. */
export function namesFiles(workspace: Workspace, path: string, offset: number): boolean {
  const document = workspace.document(path);
  const position = document && positionAt(document.text, document.tokens, offset);
  return position !== undefined && isModule(position);
}

function isModule({ inString, before }: GrammarPosition): boolean {
  return inString && (before[0] === 'import' || before.at(-1) === 'from');
}

function completeString({ workspace, path, position }: Asked): Items {
  if (!isModule(position)) return [];
  const files = workspace
    .allPaths()
    .filter((other) => other !== path && isLocal(other) && isLocal(path))
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
