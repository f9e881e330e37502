/** Edits that mend a problem of syntax, where there is one thing that the author will have meant. */
import type { SyntaxCode, SyntaxProblem } from '../../grammar/syntax-problems.js';
import type { Fix } from './diagnostic.js';

interface Edit {
  readonly title: string;
  readonly start: number;
  readonly end: number;
  readonly newText: string;
}

type Mend = (problem: SyntaxProblem, text: string) => Edit | undefined;

/** Fixes of a problem in the text of `file`; none where the author has to decide. */
export function syntaxFixes(problem: SyntaxProblem, file: string, text: string): readonly Fix[] {
  const edit = suggestion(problem) ?? MENDS[problem.code]?.(problem, text);
  if (edit === undefined) return [];
  const { title, start, end, newText } = edit;
  return [{ title, edits: [{ origin: { file, span: { start, end } }, newText }] }];
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

/** The word that a misspelt one is near to. */
function suggestion(problem: SyntaxProblem): Edit | undefined {
  const { suggestion: word } = problem.data;
  return typeof word === 'string' ? replace(problem, word) : undefined;
}

const MENDS: Readonly<Partial<Record<SyntaxCode, Mend>>> = {
  FC0101: (problem, text) => {
    const found = text.slice(problem.span.start, problem.span.end);
    if (found === ';') return replace(problem, ',');
    const [sign] = problem.expected ?? [];
    const isMeant = (found === '->' && sign === '<->') || (found === ':' && sign === '..');
    return sign !== undefined && isMeant ? replace(problem, sign) : undefined;
  },
  FC0105: (problem) => (isHole(problem) ? put(problem.span.start, ':') : replace(problem, ':')),
  FC0106: ({ span }) => put(span.start, ','),
  FC0107: ({ span }, text) => closing(text, span.start),
  FC0108: ({ span }, text) => ({
    title: `Remove \`${text.slice(span.start, span.end)}\``,
    ...span,
    newText: '',
  }),
  FC0109: ({ span }, text) => put(span.start + text.slice(span.start, span.end).trimEnd().length, '"'),
  FC0110: (_, text) => put(text.trimEnd().length, ' */'),
  FC0111: (problem, text) => replace(problem, `\\${text.slice(problem.span.start, problem.span.end)}`),
  FC0112: (problem, text) => {
    const found = text.slice(problem.span.start, problem.span.end);
    if (found.startsWith("'")) return replace(problem, `"${found.replaceAll("'", '')}"`);
    if (/^[\u2010-\u2015\u2212]$/.test(found)) return replace(problem, '-');
    return straightQuotes(problem, text) ?? { title: `Remove \`${found}\``, ...problem.span, newText: '' };
  },
  FC0113: ({ span, data }) => put(span.start, data['missing'] === 'block' ? ' {}' : ' {'),
  FC0114: ({ span, expected }, text) => {
    if (expected?.[0] === '<->') return put(span.start, ' <->');
    if (expected?.[0] !== 'from') return undefined;
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

/** A bracket is closed at the end of its line; a block before the next item of the file, or at the end. */
function closing(text: string, open: number): Edit | undefined {
  const closer = CLOSERS[text[open]!];
  if (closer === undefined) return undefined;
  const rest = text.slice(open);
  if (closer === '}') {
    const next = /\n(?=\w)/.exec(rest);
    return put(next === null ? text.trimEnd().length : open + next.index, '\n}', '}');
  }
  const line = /^[^\n]*?(?=\s*(?:\/\/[^\n]*|\/\*[^\n]*|[{}][^\n]*)?(?:\n|$))/.exec(rest)!;
  return put(open + line[0].length, closer);
}
