/** What every part of the tree builder shares: the text, the problems found so far, and the doc comments. */
import type { IToken } from 'chevrotain';
import type { Comment } from './lex.js';
import { lineMap } from './line-map.js';
import type { Name, Span } from './syntax.js';
import { syntaxProblem } from './syntax-problems.js';
import type { ProblemOptions, SyntaxCode, SyntaxProblem } from './syntax-problems.js';

export interface Build {
  readonly text: string;
  readonly problems: readonly SyntaxProblem[];
  /** Adds a problem. Of several at one empty span, where something is missing, only the first is kept. */
  report(code: SyntaxCode, span: Span, message: string, options?: ProblemOptions): void;
  /** Help for something missing: not to write what it would follow, where that is a sign that joins two things. */
  orWithout(hole: Span): readonly string[];
  /** Text of the `///` lines right above the line that begins at `offset`, without the slashes. */
  doc(offset: number): string | undefined;
}

export function buildContext(
  text: string,
  comments: readonly Comment[],
  problems: readonly SyntaxProblem[],
): Build {
  const lines = lineMap(text);
  const all = [...problems];
  const holes = new Set<number>();
  const docs = new Map<number, string>();
  const beginsLine = (offset: number): boolean => {
    const { line, column } = lines.position(offset);
    const before = lines.lineText(line).slice(0, column - 1);
    return /^[\s,]*$/.test(before);
  };
  for (const { kind, text: written, span } of comments) {
    const { line } = lines.position(span.start);
    if (kind === 'doc' && beginsLine(span.start))
      docs.set(line, written.slice(3).replace(/^ /, '').trimEnd());
  }
  return {
    text,
    problems: all,
    report(code, span, message, options) {
      const isHole = span.start === span.end;
      if (isHole && holes.has(span.start)) return;
      if (isHole) holes.add(span.start);
      all.push(syntaxProblem(code, span, message, options));
    },
    orWithout({ start, end }) {
      const [, sign] = /(->|<->|[-+*/.]|[<>]=?|[=!]=|\b(?:and|or))\s*$/.exec(text.slice(0, start)) ?? [];
      return start !== end || sign === undefined || sign === '<->' ? [] : [`or take the \`${sign}\` out`];
    },
    doc(offset) {
      const found: string[] = [];
      if (!beginsLine(offset)) return undefined;
      for (let line = lines.position(offset).line - 1; docs.has(line); line--) found.unshift(docs.get(line)!);
      return found.length === 0 ? undefined : found.join('\n');
    },
  };
}

/** The name a token gives, or an empty one with a problem where there is none. */
export function nameOrHole(build: Build, found: IToken | undefined, hole: Span, what: string): Name {
  if (found !== undefined) {
    return { text: found.image, span: { start: found.startOffset, end: found.endOffset! + 1 } };
  }
  const helps = what.startsWith('the name of')
    ? ['names begin with a letter or `_` and go on with letters, digits and `_`']
    : build.orWithout(hole);
  build.report('FC0104', hole, `expected ${what}`, { helps, data: { expected: what } });
  return { text: '', span: hole };
}
