/** Hover: what a word means, what it is declared as, and what was derived from it. */
import { UNITS } from '../../compiler/check/units.js';
import { itemsAt } from '../../grammar/items.js';
import { defaultOf } from '../../grammar/reference.js';
import type { Expr, Span } from '../../grammar/syntax.js';
import { Unit } from '../../grammar/tokens.js';
import { spanOf } from '../../grammar/lex.js';
import { completionsAt } from './completion.js';
import { propertyTable } from './completion-words.js';
import { describeSite } from './describe.js';
import type { PlanNote } from './plan-notes.js';
import { nameAt, resolveName } from './resolve.js';
import type { Workspace } from './workspace.js';

export interface HoverText {
  readonly span: Span;
  /** Markdown. */
  readonly text: string;
}

/** What there is to say about an offset; `notes` are those of the last analysis, as far as they still fit the text. */
export function hoverAt(
  workspace: Workspace,
  path: string,
  offset: number,
  notes: readonly PlanNote[],
): HoverText | undefined {
  const document = workspace.document(path);
  if (document === undefined) return undefined;
  const derived = notes
    .filter(({ at }) => at.span.start <= offset && offset <= at.span.end)
    .map(({ detail }) => detail);
  const use = nameAt(workspace, path, offset);
  const site = use && resolveName(workspace, path, use);
  if (use !== undefined && site !== undefined) {
    const from =
      site.path === path
        ? []
        : [`from \`${site.path.startsWith('std/') ? site.path : site.path.split('/').at(-1)}\``];
    const doc = site.node.doc === undefined ? [] : [site.node.doc];
    return { span: use.span, text: [fence(describeSite(site)), ...doc, ...from, ...derived].join('\n\n') };
  }
  const token = document.tokens.tokens.find(
    (each) =>
      each.startOffset <= offset &&
      offset <= each.endOffset! + 1 &&
      each.image !== '' &&
      /\w|%/.test(each.image),
  );
  if (token === undefined)
    return derived.length > 0
      ? { span: { start: offset, end: offset }, text: derived.join('\n\n') }
      : undefined;
  const span = spanOf(token);
  const said =
    token.tokenType === Unit
      ? unitText(token.image)
      : (propertyText(document.tree.file, offset, token.image) ??
        wordText(workspace, path, span, token.image));
  const text = [...(said === undefined ? [] : [said]), ...derived].join('\n\n');
  return text === '' ? undefined : { span, text };
}

function fence(code: string): string {
  return `\`\`\`plan\n${code}\n\`\`\``;
}

/** `GiB`: what it measures and its size in base units. */
function unitText(image: string): string | undefined {
  const unit = UNITS.get(image);
  return (
    unit &&
    `\`${image}\` measures ${unit.dimension}: ${unit.factor.toLocaleString('en', { maximumFractionDigits: 9 })} in base units`
  );
}

/** A property, or a key of its record, by the block that it stands in. */
function propertyText(file: Parameters<typeof itemsAt>[0], offset: number, word: string): string | undefined {
  const around = itemsAt(file, offset);
  const inner = around.at(-1);
  const place = around.findLast((item) => item !== inner || inner.kind !== 'property')?.kind ?? 'file';
  const block = place === 'override' ? 'stage' : place;
  if (inner?.kind === 'property') {
    const name = inner.name.text;
    const property = propertyTable(block)[name];
    const owner = `${/^[aeiou]/.test(block) ? 'an' : 'a'} ${block === 'kv' ? 'kv block' : block}`;
    if (name === word && inner.name.span.end >= offset) {
      if (property === undefined) return undefined;
      const standard = defaultOf(property);
      const left = standard === undefined ? 'It has to be given.' : `Default: ${standard}.`;
      return `**${word}** of ${owner}: ${property.doc}\n\n${left}`;
    }
    if (property !== undefined && isKey(inner.value, offset))
      return `**${word}** in **${name}** of ${owner}: ${property.doc}`;
  }
  return undefined;
}

/** Any other word of the language: many have several meanings, and completion knows which one fits a place. */
function wordText(workspace: Workspace, path: string, { end }: Span, word: string): string | undefined {
  const offered = completionsAt(workspace, path, end).find(({ label }) => label === word);
  return typeof offered?.documentation === 'string' ? `**${word}**: ${offered.documentation}` : undefined;
}

/** Whether an offset lies in a key of a record. */
function isKey(value: Expr, offset: number): boolean {
  return (
    value.kind === 'record' &&
    value.entries.some(({ key: { span } }) => span.start <= offset && offset <= span.end)
  );
}
