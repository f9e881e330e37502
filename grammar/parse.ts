/**
 * The front door of the grammar: plan text to a syntax tree. Never throws, whatever the text; what is wrong with it
 * comes back as problems beside a tree that holds all the rest.
 */
import type { CstNode } from 'chevrotain';
import { buildContext } from './build-context.js';
import { buildFile } from './build-tree.js';
import { lex } from './lex.js';
import type { Comment } from './lex.js';
import { planParser } from './parser.js';
import type { SourceFile } from './syntax.js';
import type { SyntaxProblem } from './syntax-problems.js';

export type { Comment } from './lex.js';
export type { SyntaxProblem } from './syntax-problems.js';

export interface Parsed {
  readonly file: SourceFile;
  /** In source order. */
  readonly errors: SyntaxProblem[];
  /** In source order. */
  readonly comments: Comment[];
}

/** Parses one file. `path` is only recorded in the tree. */
export function parse(text: string, path: string): Parsed {
  const { tokens, comments, problems } = lex(text);
  const parser = planParser();
  parser.input = tokens;
  const cst = parser.file() as CstNode | undefined;
  const build = buildContext(text, comments, problems);
  for (const { token, message } of parser.errors) {
    const start = Number.isNaN(token.startOffset) ? text.length : token.startOffset;
    build.report('FC0101', { start, end: start + token.image.length }, message);
  }
  const file = buildFile(build, cst ?? { name: 'file', children: {} }, path, text);
  const errors = [...build.problems].sort((a, b) => a.span.start - b.span.start);
  return { file, errors, comments: [...comments] };
}
