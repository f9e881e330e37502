/**
 * Warnings that a file accepts: `//! allow kv-tight: prompts are short` before an item takes one warning, named by
 * slug or code, off everything in that item. The reason is part of the form, because the next reader will ask for it.
 * Errors cannot be allowed: a plan that has one is not sound.
 */
import type { Comment } from '../../grammar/lex.js';
import { itemAfter } from '../../grammar/items.js';
import type { Span } from '../../grammar/syntax.js';
import { CATALOGUE, report } from '../diagnostics/catalogue.js';
import type { AnyEntry } from '../diagnostics/catalogue/entry.js';
import type { Diagnostic, Origin } from '../diagnostics/diagnostic.js';
import { suggestions, type Scope } from './scope.js';

export interface Allowance {
  readonly slug: string;
  readonly reason: string;
  /** The comment. */
  readonly origin: Origin;
  /** The item that it stands before. */
  readonly covers: Span;
}

const MARK = '//!';
const FORM = 'write `//! allow NAME: reason`, NAME being the code or the name of a warning';
const WARNINGS: readonly (readonly [string, AnyEntry])[] = Object.entries<AnyEntry>(CATALOGUE).filter(
  ([, { severity }]) => severity === 'warning',
);

/** The allowances of a file; comments that begin like one and are none go to `tell`. */
export function readAllowances(scope: Scope, tell: (diagnostic: Diagnostic) => void): readonly Allowance[] {
  return scope.comments
    .filter(({ text }) => text.startsWith(MARK))
    .flatMap((comment) => readAllowance(comment, scope, tell) ?? []);
}

function readAllowance(
  { text, span }: Comment,
  scope: Scope,
  tell: (diagnostic: Diagnostic) => void,
): Allowance | undefined {
  const origin: Origin = { file: scope.path, span };
  const bad = (problem: string, primary: Origin, helps: readonly string[] = [FORM]): undefined =>
    tell(report('bad-allowance', { problem }, { primary, helps })) as undefined;
  const match = /^(\/\/!\s*allow\s+)([\w-]+)\s*(?::\s*(.*))?$/.exec(text.trimEnd());
  if (match === null) return bad('this comment is to allow a warning and does not say which', origin);
  const [, before, name, reason = ''] = match as unknown as [string, string, string, string?];
  const start = span.start + before.length;
  const word: Origin = { file: scope.path, span: { start, end: start + name.length } };
  const known = WARNINGS.find(([slug, { code }]) => slug === name || code === name.toUpperCase());
  if (known === undefined) {
    const isError = Object.entries<AnyEntry>(CATALOGUE).some(
      ([slug, { code }]) => slug === name || code === name,
    );
    if (isError)
      return bad(`\`${name}\` is an error, and only warnings can be allowed`, word, [
        'mend what it says, and take this line out',
      ]);
    const { helps, fixes } = suggestions(
      word,
      name,
      WARNINGS.map(([slug]) => slug),
      'warnings',
    );
    tell(
      report(
        'bad-allowance',
        { problem: `there is no warning \`${name}\`` },
        { primary: word, helps, fixes },
      ),
    );
    return undefined;
  }
  if (reason.trim() === '') return bad(`no reason is given why \`${name}\` is allowed`, origin);
  const item = itemAfter(scope.file, span.end);
  if (item === undefined) return bad('this line stands before no item that it could speak of', origin);
  return { slug: known[0], reason: reason.trim(), origin, covers: item.span };
}

export interface Sifted {
  readonly kept: readonly Diagnostic[];
  /** Allowed ones, each with the line that allows it. */
  readonly allowed: readonly AllowedDiagnostic[];
}

export interface AllowedDiagnostic {
  readonly diagnostic: Diagnostic;
  readonly by: Allowance;
}

/** Takes out the diagnostics that some allowance covers. */
export function sift(diagnostics: readonly Diagnostic[], allowances: readonly Allowance[]): Sifted {
  const kept: Diagnostic[] = [];
  const allowed: AllowedDiagnostic[] = [];
  for (const diagnostic of diagnostics) {
    const by = allowances.find((allowance) => covers(allowance, diagnostic));
    if (by === undefined) kept.push(diagnostic);
    else allowed.push({ diagnostic, by });
  }
  return { kept, allowed };
}

function covers({ slug, origin, covers: item }: Allowance, { primary, ...diagnostic }: Diagnostic): boolean {
  return (
    diagnostic.slug === slug &&
    primary?.file === origin.file &&
    item.start <= primary.span.start &&
    primary.span.end <= item.end
  );
}

/** A warning for every allowance of `file` that allowed nothing; asked once all diagnostics are known. */
export function reportUnused(
  file: string,
  allowances: readonly Allowance[],
  allowed: readonly AllowedDiagnostic[],
): readonly Diagnostic[] {
  return allowances
    .filter((allowance) => allowance.origin.file === file && !allowed.some(({ by }) => by === allowance))
    .map(({ slug, origin }) =>
      report(
        'unused-allowance',
        { what: `\`${slug}\`` },
        { primary: origin, fixes: [{ title: 'Remove the line', edits: [{ origin, newText: '' }] }] },
      ),
    );
}
