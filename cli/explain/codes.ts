/**
 * Every code that Fulcrum may print, in one list: problems of syntax, of plans, and failures of runs. A code's
 * message is shown in general form, with the names of its facts in angle brackets where a report has their values.
 */
import { CATALOGUE, type Slug } from '../../compiler/diagnostics/catalogue.js';
import type { AnyEntry } from '../../compiler/diagnostics/catalogue/entry.js';
import { syntaxCodes, type SyntaxCode } from '../../grammar/syntax-problems.js';
import { FAILURE_CODES } from '../../runtime/failure-codes.js';
import { describePage, readPage } from './pages.js';

/** A code that Fulcrum may print. */
export interface KnownCode {
  readonly code: string;
  readonly slug: string;
  /** `failure`: a run could not start or go on. */
  readonly severity: 'error' | 'warning' | 'note' | 'failure';
  /** What it says or means, in general. */
  readonly message: string;
  /** What the codes of its field have in common. */
  readonly field: string;
}

/** By the two digits after `FC`. */
const FIELDS: Readonly<Record<string, string>> = {
  '01': 'Syntax: the text of a plan file cannot be read as written. The rest of the file is checked all the same.',
  '02': 'Names and imports: a name means nothing, or not what its place needs.',
  '03': 'Types, units, params and models: a value is not of the kind its property takes, or a model cannot be used.',
  '04': 'Topology and placement: stages, devices, memories and links do not go together.',
  '05': 'Sharding: a dimension of the model cannot be laid on the mesh like this.',
  '06': 'KV and tiers: the KV cache has no place, or no way from one stage to the next.',
  '07': 'Flow: the stages and rules do not make a path from requests to results.',
  '08': 'Expectations: the plan promises something that it does not keep.',
  '10': 'Style: what a file says about its own diagnostics.',
  '09': 'Run time: files, devices or requests stopped a run. Results already written stay.',
};

const SYNTAX_MESSAGES: Readonly<Record<SyntaxCode, string>> = {
  FC0101: 'something stands here that cannot stand here',
  FC0102: 'a block or file has an item that the language does not know',
  FC0103: 'a value is missing, such as after `:`',
  FC0104: 'a name is missing, such as after `plan` or `.`',
  FC0105: 'a property needs `:` between its name and its value',
  FC0106: 'two values or properties need `,` or a line break between them',
  FC0107: 'a bracket is never closed',
  FC0108: 'a closing bracket closes nothing, or closes a block too early',
  FC0109: 'a text has no closing quote on its line',
  FC0110: 'a comment that begins with `/*` never ends',
  FC0111: 'a backslash in a text is followed by something that has no meaning',
  FC0112: 'this character is not part of the language',
  FC0113: 'a declaration needs a block in braces',
  FC0114: 'a word of the language is missing, such as `for`, `from` or `<->`',
  FC0115: 'values are nested too deeply',
  FC0116: 'names begin with a letter or `_` and go on with letters, digits and `_`',
};

/** Where the message of a row is made of its facts alone. */
const GENERAL_MESSAGES: Readonly<Partial<Record<Slug, string>>> = {
  'bad-model-config': 'a field of config.json is missing, or its value cannot be right',
  'bad-shape': 'the sizes of a model do not go together, such as heads that are no multiple of kv_heads',
  'bad-allowance': 'a comment that begins with `//!` does not say in its form what it allows, and why',
  'bad-measure-argument': 'a measure of an expectation has an argument that it cannot take',
};

/** All codes in order. */
export function knownCodes(): readonly KnownCode[] {
  const codes: readonly Omit<KnownCode, 'field'>[] = [
    ...(Object.entries(syntaxCodes) as [SyntaxCode, string][]).map(([code, slug]) => ({
      code,
      slug,
      severity: 'error' as const,
      message: SYNTAX_MESSAGES[code],
    })),
    ...(Object.entries(CATALOGUE) as [Slug, AnyEntry][]).map(([slug, entry]) => ({
      code: entry.code,
      slug,
      severity: entry.severity,
      message: GENERAL_MESSAGES[slug] ?? generalMessage(entry),
    })),
    ...Object.entries(FAILURE_CODES).map(([code, { slug, meaning }]) => ({
      code,
      slug,
      severity: 'failure' as const,
      message: meaning,
    })),
  ];
  return codes
    .map((entry) => ({ ...entry, field: FIELDS[entry.code.slice(2, 4)] ?? '' }))
    .sort((a, b) => (a.code < b.code ? -1 : 1));
}

/** The code of this name: `FC0503` in any case, `503`, or its slug. */
export function findCode(name: string): KnownCode | undefined {
  const digits = /^(?:FC)?(\d{3,4})$/i.exec(name)?.[1];
  const code = digits === undefined ? undefined : `FC${digits.padStart(4, '0')}`;
  return knownCodes().find((entry) => entry.code === code || entry.slug === name);
}

/** Text of a code for people, with what its page says. */
export function describeCode({ code, slug, severity, message, field }: KnownCode): string {
  const page = readPage(code);
  const parts = [
    `${severity}[${code}] ${slug}`,
    `  ${message}`,
    ...(page ? [describePage(page)] : []),
    field,
  ];
  return parts.join('\n\n');
}

/** The message with `<fact>` in place of every fact. */
function generalMessage(entry: AnyEntry): string {
  const facts = new Proxy({}, { get: (_, name) => placeholder(`<${String(name)}>`) });
  const message = entry.message as (params: unknown) => string;
  // A figure worked out from facts has no name.
  return String(message(facts)).replaceAll('NaN', '…');
}

/** Stands in for a text, a list or a number: shows as `text` wherever it is printed, and cannot be counted with. */
function placeholder(text: string): object {
  return {
    join: () => text,
    map: () => placeholder(text),
    toString: () => text,
    [Symbol.toPrimitive]: (hint: string) => (hint === 'number' ? NaN : text),
  };
}
