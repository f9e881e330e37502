/**
 * Text to tokens: runs the lexer, then one pass that retypes keywords, places line ends where they separate
 * members, and reports what is wrong with single tokens.
 *
 * A line end separates members unless the line plainly goes on: after an opening bracket, a comma or an operator,
 * and before a closing bracket, an opening `{` or `[`, a comma, an operator, or a joining word such as `when`. So
 * values may run over several lines inside brackets and around operators, and the parser needs no other rule.
 */
import type { IToken, TokenType } from 'chevrotain';
import { createTokenInstance, Lexer } from 'chevrotain';
import type { Span } from './syntax.js';
import { syntaxProblem } from './syntax-problems.js';
import type { SyntaxProblem } from './syntax-problems.js';
import * as t from './tokens.js';

export interface Comment {
  /** `///`, `//` or a block comment. */
  readonly kind: 'doc' | 'line' | 'block';
  /** As written, with its signs. */
  readonly text: string;
  readonly span: Span;
}

export interface Lexed {
  readonly tokens: IToken[];
  readonly comments: readonly Comment[];
  readonly problems: readonly SyntaxProblem[];
}

/** Brackets deeper than this are skipped with one problem, so that no input can exhaust the stack. */
export const maximumDepth = 64;

const k = t.keywords;
const openers = new Set<TokenType>([t.LCurly, t.LParen, t.LSquare]);
const closers = new Set<TokenType>([t.RCurly, t.RParen, t.RSquare]);
const operators = [
  ...[t.Colon, t.Comma, t.Arrow, t.BothWays, t.Range, t.Dot, t.Equals, t.Plus, t.Star, t.Slash],
  ...[t.Less, t.LessEqual, t.Greater, t.GreaterEqual, t.EqualEqual, t.NotEqual],
];
const continuesAfter = new Set<TokenType>([...openers, ...operators, t.Minus, k.and, k.or]);
const continuesBefore = new Set<TokenType>([...closers, ...operators, t.LCurly, t.LSquare]);
const joiningWords = new Set<TokenType>([
  ...[k.and, k.or, k.when, k.like, k.for, k.in, k.on, k.from, k.by, k.of, k.up],
]);

let lexer: Lexer | undefined;

/** Tokens, comments and token-level problems of a text. */
export function lex(text: string): Lexed {
  lexer ??= new Lexer(t.lexedTokens, { positionTracking: 'full', skipValidations: true });
  const lexed = lexer.tokenize(text);
  const problems: SyntaxProblem[] = lexed.errors.map(({ offset, length }) =>
    syntaxProblem(
      'FC0112',
      { start: offset, end: offset + length },
      `\`${text.slice(offset, offset + length)}\` means nothing here`,
    ),
  );
  const comments = (lexed.groups['comments'] ?? []).map((token) => readComment(token, problems));
  for (const token of lexed.tokens) checkToken(token, problems);
  return { tokens: separateLines(dropTooDeep(lexed.tokens, problems)), comments, problems };
}

/** Whether a token that ends its line waits for more on the next one. */
export function waitsForMore({ tokenType }: IToken): boolean {
  return continuesAfter.has(tokenType);
}

/** Span of a token; empty for a line end. */
export function spanOf(token: IToken): Span {
  return { start: token.startOffset, end: token.endOffset! + 1 };
}

function readComment(token: IToken, problems: SyntaxProblem[]): Comment {
  const text = token.image;
  const span = spanOf(token);
  if (token.tokenType === t.HashComment) {
    const sign = { start: span.start, end: span.start + 1 };
    const options = { helps: ['write `//`'], data: { suggestion: '//' } };
    problems.push(syntaxProblem('FC0112', sign, 'comments begin with `//`', options));
    return { kind: 'line', text, span };
  }
  if (token.tokenType === t.LineComment) {
    const isDoc = text.startsWith('///') && !text.startsWith('////');
    return { kind: isDoc ? 'doc' : 'line', text, span };
  }
  if (text.length < 4 || !text.endsWith('*/')) {
    const open = { start: span.start, end: span.start + 2 };
    problems.push(
      syntaxProblem('FC0110', open, 'this comment is never closed', { helps: ['close it with `*/`'] }),
    );
  }
  return { kind: 'block', text, span };
}

/** Retypes keywords and other stand-ins, and reports what is wrong inside one token. */
function checkToken(token: IToken, problems: SyntaxProblem[]): void {
  const { image, tokenType } = token;
  if (tokenType === t.Identifier) {
    const keyword = t.keywordOf.get(image);
    if (keyword !== undefined) retype(token, keyword);
    // eslint-disable-next-line no-control-regex
    else if (!/^[\x00-\x7f]*$/.test(image)) {
      const helps = ['names are made of ASCII letters, digits and `_`'];
      problems.push(syntaxProblem('FC0116', spanOf(token), `\`${image}\` is not a valid name`, { helps }));
    }
  } else if (tokenType === t.Semicolon) {
    const helps = ['a line end or a comma separates members'];
    problems.push(syntaxProblem('FC0101', spanOf(token), 'unexpected `;`', { helps }));
    retype(token, t.Comma);
  } else if (tokenType === t.StringToken) {
    checkString(token, problems);
  }
}

function retype(token: IToken, type: TokenType): void {
  token.tokenType = type;
  token.tokenTypeIdx = type.tokenTypeIdx!;
}

function checkString(token: IToken, problems: SyntaxProblem[]): void {
  const { image } = token;
  if (image.startsWith("'")) {
    const helps = [`write "${image.replaceAll("'", '')}"`];
    problems.push(syntaxProblem('FC0112', spanOf(token), 'strings stand in double quotes', { helps }));
    return;
  }
  if (!/^"(?:[^"\\]|\\.)*"$/.test(image)) {
    const helps = ['close it with `"` on the same line'];
    problems.push(syntaxProblem('FC0109', spanOf(token), 'this string is never closed', { helps }));
  }
  for (const match of image.matchAll(/\\(?:u[0-9a-fA-F]{4}|.|$)/g)) {
    if (/^\\(?:["\\/nrt]|u[0-9a-fA-F]{4})$/.test(match[0]) || match[0] === '\\') continue;
    const start = token.startOffset + match.index;
    const helps = ['escapes are \\" \\\\ \\/ \\n \\r \\t and \\uXXXX'];
    const span = { start, end: start + match[0].length };
    problems.push(syntaxProblem('FC0111', span, `\`${match[0]}\` is no escape`, { helps }));
  }
}

function dropTooDeep(tokens: readonly IToken[], problems: SyntaxProblem[]): IToken[] {
  const kept: IToken[] = [];
  let depth = 0;
  let reported = false;
  for (const token of tokens) {
    if (openers.has(token.tokenType)) depth++;
    if (depth <= maximumDepth) kept.push(token);
    else if (!reported) {
      reported = true;
      const message = `brackets are nested more than ${maximumDepth} deep`;
      problems.push(
        syntaxProblem('FC0115', spanOf(token), message, { helps: ['take out brackets that change nothing'] }),
      );
    }
    if (closers.has(token.tokenType)) depth = Math.max(0, depth - 1);
  }
  return kept;
}

function separateLines(tokens: readonly IToken[]): IToken[] {
  const separated: IToken[] = [];
  for (const [index, token] of tokens.entries()) {
    const last = tokens[index - 1];
    if (last !== undefined && last.endLine! < token.startLine!) {
      if (!continues(last, token, tokens[index + 1])) separated.push(newLineAfter(last));
    }
    separated.push(token);
  }
  return separated;
}

/** Whether a line that ends with `last` goes on with `next`. */
function continues(last: IToken, next: IToken, afterNext: IToken | undefined): boolean {
  if (continuesBefore.has(next.tokenType)) return true;
  if (waitsForMore(last)) {
    return openers.has(last.tokenType) || last.tokenType === t.Comma || !startsAfresh(last, next, afterNext);
  }
  // A joining word before a colon is a property's name.
  return joiningWords.has(next.tokenType) && afterNext?.tokenType !== t.Colon;
}

/** Whether `next` begins a member of its own although `last` waits for more: `page:` is half typed, say. */
function startsAfresh(last: IToken, next: IToken, afterNext: IToken | undefined): boolean {
  if (!isWord(next.tokenType)) return false;
  const after = afterNext?.tokenType;
  if (after === t.Colon) return true;
  if ((last.tokenType !== t.Colon && last.tokenType !== t.Equals) || after === undefined) return false;
  // A word alone on its line is the value, whatever the next line begins with.
  if (afterNext!.startLine !== next.endLine) return false;
  return after === t.LCurly || (isWord(after) && !joiningWords.has(after));
}

function isWord(type: TokenType): boolean {
  return type.CATEGORIES?.includes(t.Name) === true;
}

/** A line end takes no room: it starts where the token before it ends. */
function newLineAfter(last: IToken): IToken {
  const end = last.endOffset!;
  const line = last.endLine!;
  const column = last.endColumn! + 1;
  return createTokenInstance(t.NewLine, '', end + 1, end, line, line, column, column);
}
