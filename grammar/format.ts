/**
 * The formatter: one canonical layout for every plan file. It moves line ends, spaces and the commas between members,
 * and nothing else; lines end with a line feed, also those of comments. A file with syntax errors is left alone: what its
 * members are is not known.
 */
import { canonicalComment, layOutFile } from './format/layout.js';
import { renderFile } from './format/render.js';
import { structureOf } from './format/structure.js';
import { lex } from './lex.js';
import { parse } from './parse.js';
import type { SyntaxProblem } from './syntax-problems.js';
import { Comma, NewLine } from './tokens.js';

export type Formatted =
  | { readonly kind: 'formatted'; readonly text: string }
  /** The text has errors and stays as it is. */
  | { readonly kind: 'broken'; readonly errors: readonly SyntaxProblem[] };

/**
 * Formats the text of a plan file.
 *
 * @param path recorded in problems only
 * @throws when the result would not be the same file: a bug
 */
export function formatPlan(text: string, path: string): Formatted {
  const { file, errors, comments } = parse(text, path);
  if (errors.length > 0) return { kind: 'broken', errors };
  const structure = structureOf(file);
  const { tokens } = lex(text);
  const formatted = renderFile(layOutFile(text, tokens, comments, structure), structure);
  if (substance(formatted) !== substance(text)) throw new Error(`formatting would change ${path}`);
  return { kind: 'formatted', text: formatted };
}

/** Tokens and comments of a text in order, without the separators between members. */
function substance(text: string): string {
  const { tokens, comments } = lex(text);
  const words = tokens.filter(({ tokenType }) => tokenType !== NewLine && tokenType !== Comma);
  return JSON.stringify([words.map(({ image }) => image), comments.map(canonicalComment)]);
}
