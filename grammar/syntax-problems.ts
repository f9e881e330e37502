/**
 * The catalogue of what can be wrong with the text of a plan file: codes FC01nn. A code never changes its meaning.
 *
 * Problems are plain data, so that this folder knows nothing of diagnostics; the compiler turns each into one.
 */
import type { Span } from './syntax.js';

export const syntaxCodes = {
  FC0101: 'unexpected-token',
  FC0102: 'unknown-item',
  FC0103: 'missing-value',
  FC0104: 'missing-name',
  FC0105: 'missing-colon',
  FC0106: 'missing-separator',
  FC0107: 'unclosed-bracket',
  FC0108: 'unmatched-bracket',
  FC0109: 'unterminated-string',
  FC0110: 'unterminated-comment',
  FC0111: 'bad-escape',
  FC0112: 'unexpected-character',
  FC0113: 'missing-block',
  FC0114: 'missing-word',
  FC0115: 'too-deep',
  FC0116: 'invalid-name',
} as const;

export type SyntaxCode = keyof typeof syntaxCodes;

export interface SyntaxProblem {
  readonly code: SyntaxCode;
  readonly slug: (typeof syntaxCodes)[SyntaxCode];
  readonly message: string;
  /** The smallest text that must change; empty where something is missing. */
  readonly span: Span;
  readonly helps: readonly string[];
  /** What could have stood here, for completion. */
  readonly expected?: readonly string[];
  /** Of a bracket that is never closed: where what it holds ends. */
  readonly end?: number;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface ProblemOptions {
  readonly helps?: readonly string[];
  readonly expected?: readonly string[];
  readonly end?: number;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** A problem of the catalogue; the slug follows from the code. */
export function syntaxProblem(
  code: SyntaxCode,
  span: Span,
  message: string,
  options: ProblemOptions = {},
): SyntaxProblem {
  const { helps = [], data = {}, ...rest } = options;
  return { code, slug: syntaxCodes[code], message, span, helps, data, ...rest };
}
