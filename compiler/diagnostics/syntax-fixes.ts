/** Edits that mend a problem of syntax, where there is one thing that the author will have meant. */
import { isComparison } from '../../grammar/operators.js';
import type { SyntaxCode, SyntaxProblem } from '../../grammar/syntax-problems.js';
import type { Fix } from './diagnostic.js';

interface Edit {
  readonly title: string;
  readonly start: number;
  readonly end: number;
  readonly newText: string;
}

/** What mends a problem; several edits are a choice. */
type Mend = (problem: SyntaxProblem, text: string) => Edit | readonly Edit[] | undefined;

/** Fixes of a problem in the text of `file`; none where the author has to decide. */
export function syntaxFixes(problem: SyntaxProblem, file: string, text: string): readonly Fix[] {
  const edits = [suggestion(problem) ?? MENDS[problem.code]?.(problem, text) ?? []].flat();
  return edits.map(({ title, start, end, newText }) => ({
    title,
    edits: [{ origin: { file, span: { start, end } }, newText }],
  }));
}

const put = (at: number, newText: string, what = newText.trim()): Edit => ({
  title: `Insert \`${what}\``,
  start: at,
  end: at,
  newText,
});

const replace = ({ span }: SyntaxProblem, newText: string): Edit => ({
  title: `Change to \`${newText}\``,
  ...span,
  newText,
});

function remove({ span }: SyntaxProblem, text: string): Edit {
  return { title: `Remove \`${text.slice(span.start, span.end)}\``, ...span, newText: '' };
}

/** What parts the words on both sides of something that is taken out. */
function between({ span }: SyntaxProblem, text: string): string {
  return /\w/.test(text.charAt(span.end)) ? ' ' : '';
}

/** The word that a misspelt one is near to. */
function suggestion(problem: SyntaxProblem): Edit | undefined {
  const { suggestion: word } = problem.data;
  return typeof word === 'string' ? replace(problem, word) : undefined;
}

const MENDS: Readonly<Partial<Record<SyntaxCode, Mend>>> = {
  FC0101: (problem, text) => {
    const found = text.slice(problem.span.start, problem.span.end);
    if (found === ';') return replace(problem, ',');
    if (problem.data['surplus'] === true)
      return { ...remove(problem, text), newText: between(problem, text) };
    const { expected = [] } = problem;
    if (expected.length > 0 && expected.every(isComparison))
      return expected.map((each) => replace(problem, each));
    const [sign] = expected;
    if (sign === '->' && /^\w/.test(found)) return put(problem.span.start, '-> ');
    if (found.startsWith('=')) return arrowInstead(problem, text);
    if (found === ',' && sign === '->') return { ...replace(problem, sign), newText: ' ->' };
    const isMeant = (found === '->' && sign === '<->') || (found === ':' && sign === '..');
    return sign !== undefined && isMeant ? replace(problem, sign) : undefined;
  },
  FC0105: (problem) => {
    if (!isHole(problem)) return replace(problem, ':');
    const { example } = problem.data;
    if (typeof example === 'string') return put(problem.span.start, `: ${example}`);
    return problem.expected === undefined ? undefined : put(problem.span.start, ':');
  },
  FC0106: ({ span }) => put(span.start, ','),
  FC0107: (problem, text) => closing(problem, text),
  FC0108: remove,
  FC0109: ({ span }, text) => put(span.start + text.slice(span.start, span.end).trimEnd().length, '"'),
  FC0110: (_, text) => put(text.trimEnd().length, ' */'),
  FC0111: (problem, text) => replace(problem, `\\${text.slice(problem.span.start, problem.span.end)}`),
  FC0112: (problem, text) => {
    const found = text.slice(problem.span.start, problem.span.end);
    if (found.startsWith("'")) return replace(problem, `"${found.replaceAll("'", '')}"`);
    if (/^[\u2010-\u2015\u2212]$/.test(found)) return replace(problem, '-');
    return straightQuotes(problem, text) ?? remove(problem, text);
  },
  FC0113: ({ span, data }) => put(span.start, data['missing'] === 'block' ? ' {}' : ' {'),
  FC0114: ({ span, expected }, text) => {
    const [word] = expected ?? [];
    if (word === 'flow') return put(span.start, 'flow ');
    if (word === '<->' || word === 'to') return put(span.start, ` ${word}`);
    if (word === '<=') return expected!.map((each) => put(span.start, ` ${each}`));
    if (word !== 'from') return undefined;
    const before = /\s*"[^"\n]*"$/.exec(text.slice(0, span.start));
    return before === null ? undefined : put(before.index, ' from');
  },
  FC0116: (problem, text) => {
    const found = text.slice(problem.span.start, problem.span.end);
    const ascii = found
      .normalize('NFD')
      .replaceAll(/[\u0300-\u036f]/g, '')
      .replaceAll(/[^\w]/g, '_');
    return replace(problem, /^\d/.test(ascii) ? `_${ascii}` : ascii);
  },
};

/** The arrow that is meant by a sign that begins with `=`, where that is the only sign there can be. */
function arrowInstead(problem: SyntaxProblem, text: string): Edit | undefined {
  const { expected = [], span } = problem;
  const arrows = expected.filter((each) => each === '->' || each === '<->');
  const isBroken = text.charAt(span.end) === '>';
  const whole = { ...problem, span: { start: span.start, end: span.end + Number(isBroken) } };
  return arrows.length === 1 ? replace(whole, arrows[0]!) : undefined;
}

function isHole({ span }: SyntaxProblem): boolean {
  return span.start === span.end;
}

/** The string in quotes that a text editor has bent, at whose beginning or end a problem is. */
function straightQuotes({ span: { start } }: SyntaxProblem, text: string): Edit | undefined {
  const from = text.lastIndexOf('\n', start - 1) + 1;
  const line = text.slice(from).split('\n', 1)[0]!;
  for (const match of line.matchAll(
    /[\u201c-\u201f\u00ab]([^"\\\u201c-\u201f\u00ab\u00bb]*)[\u201c-\u201f\u00bb]/g,
  )) {
    const opened = from + match.index;
    const end = opened + match[0].length;
    if (start !== opened && start !== end - 1) continue;
    const newText = `"${match[1]}"`;
    return { title: `Change to \`${newText}\``, start: opened, end, newText };
  }
  return undefined;
}

const CLOSERS: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/**
 * A bracket is closed where what it holds ends: a block over several lines on a line of its own. Parentheses and square
 * brackets, which hold what follows a comma on the next line, do not go on with a line that is no deeper than theirs.
 */
function closing({ span: { start: open }, end = open + 1 }: SyntaxProblem, text: string): Edit | undefined {
  const closer = CLOSERS[text[open]!];
  if (closer === undefined) return undefined;
  const indent = /^[ \t]*/.exec(text.slice(text.lastIndexOf('\n', open) + 1))![0];
  const held = text.slice(open, end);
  if (closer === '}') {
    if (/^\{[ \t]*[^\s/]/.test(held) && !endsInString(held)) return put(end, ' }');
    const comment = /^[^\S\n]*(?:\/\/[^\n]*)?(?=\n|$)/.exec(text.slice(end))?.[0] ?? '';
    return put(end + comment.length, `\n${indent}}`);
  }
  if (
    !held
      .split('\n')
      .slice(1)
      .some((line) => !/^\s*$/.test(line) && !isDeeper(line, indent))
  )
    return put(end, closer);
  const line = /^[^\n]*?(?=\s*(?:\/\/[^\n]*|\/\*[^\n]*|[{}][^\n]*)?(?:\n|$))/.exec(held)!;
  return put(open + line[0].length, closer);
}

/** Whether a string is open at the end of a text: nothing behind it on its line is read. */
function endsInString(text: string): boolean {
  const line = text.slice(text.lastIndexOf('\n') + 1);
  return line.replaceAll(/\\./g, '').split('"').length % 2 === 0;
}

function isDeeper(line: string, indent: string): boolean {
  return /^[ \t]*/.exec(line)![0].length > indent.length;
}
