/**
 * The words and signs of a plan file, as chevrotain token types.
 *
 * Keywords are contextual: the lexer reads every word as an identifier and `lex` retypes the ones in the keyword
 * table, each of which is also a `Name`. So a keyword may be a user's name wherever the grammar asks for a `Name`.
 * `NewLine` never comes from the lexer either: `lex` puts one where a line end separates two members.
 */
import type { CustomPatternMatcherReturn, IToken, TokenType } from 'chevrotain';
import { createToken, Lexer } from 'chevrotain';

/** Category of every token but braces and separators: what recovery may skip inside one item. */
export const Other = createToken({ name: 'Other', pattern: Lexer.NA });
/** Category of identifiers and keywords. */
export const Name = createToken({ name: 'Name', pattern: Lexer.NA, categories: [Other] });
/** Category of what separates members: a comma or a line end. */
export const Separator = createToken({ name: 'Separator', pattern: Lexer.NA });
/** Category of operators between two operands. */
export const Infix = createToken({ name: 'Infix', pattern: Lexer.NA });

/** Letters beyond ASCII are read as part of a word so that they give one clear problem instead of several. */
export const Identifier = createToken({
  name: 'Identifier',
  pattern:
    /[A-Za-z_\u00b5\u00c0-\u024f\u0370-\u1fff\u3040-\ud7ff][\w\u00b5\u00c0-\u024f\u0370-\u1fff\u3040-\ud7ff]*/,
  categories: [Name],
});

function keyword(text: string, categories: TokenType[] = [Name]): TokenType {
  return createToken({ name: text[0]!.toUpperCase() + text.slice(1), pattern: Lexer.NA, categories });
}

/** Every keyword of the language with its token type. */
export const keywords = {
  language: keyword('language'),
  import: keyword('import'),
  from: keyword('from'),
  as: keyword('as'),
  param: keyword('param'),
  in: keyword('in'),
  device: keyword('device'),
  topology: keyword('topology'),
  tier: keyword('tier'),
  link: keyword('link'),
  overhead: keyword('overhead'),
  model: keyword('model'),
  workload: keyword('workload'),
  plan: keyword('plan'),
  for: keyword('for'),
  on: keyword('on'),
  stage: keyword('stage'),
  like: keyword('like'),
  mesh: keyword('mesh'),
  shard: keyword('shard'),
  replicate: keyword('replicate'),
  by: keyword('by'),
  split: keyword('split'),
  override: keyword('override'),
  kv: keyword('kv'),
  flow: keyword('flow'),
  to: keyword('to'),
  when: keyword('when'),
  expect: keyword('expect'),
  never: keyword('never'),
  of: keyword('of'),
  up: keyword('up'),
  and: keyword('and', [Name, Infix]),
  or: keyword('or', [Name, Infix]),
  not: keyword('not'),
} as const;

/** Token type of a word, when it is a keyword. */
export const keywordOf: ReadonlyMap<string, TokenType> = new Map(Object.entries(keywords));

function sign(name: string, pattern: string, categories: TokenType[] = [Other]): TokenType {
  return createToken({ name, pattern, categories });
}

export const LCurly = createToken({ name: 'LCurly', pattern: '{' });
export const RCurly = createToken({ name: 'RCurly', pattern: '}' });
export const LParen = sign('LParen', '(');
export const RParen = sign('RParen', ')');
export const LSquare = sign('LSquare', '[');
export const RSquare = sign('RSquare', ']');
export const Comma = createToken({ name: 'Comma', pattern: ',', categories: [Separator] });
/** Lexed so that a habit from other languages gives one clear problem; `lex` turns it into a `Comma`. */
export const Semicolon = sign('Semicolon', ';');
export const Colon = sign('Colon', ':');
export const BothWays = sign('BothWays', '<->');
export const Arrow = sign('Arrow', '->');
export const Range = sign('Range', '..');
export const Dot = sign('Dot', '.');
export const Plus = sign('Plus', '+', [Other, Infix]);
export const Minus = sign('Minus', '-', [Other, Infix]);
export const Star = sign('Star', '*', [Other, Infix]);
export const Slash = sign('Slash', '/', [Other, Infix]);
export const LessEqual = sign('LessEqual', '<=', [Other, Infix]);
export const Less = sign('Less', '<', [Other, Infix]);
export const GreaterEqual = sign('GreaterEqual', '>=', [Other, Infix]);
export const Greater = sign('Greater', '>', [Other, Infix]);
export const EqualEqual = sign('EqualEqual', '==', [Other, Infix]);
export const NotEqual = sign('NotEqual', '!=', [Other, Infix]);
export const Equals = sign('Equals', '=');

/** The fraction needs a digit after the dot, so `0..3` is a range and `0.8` a number. */
export const NumberToken = createToken({
  name: 'Number',
  pattern: /\d+(?:_\d+)*(?:\.\d+(?:_\d+)*)?(?:[eE][+-]?\d+)?/,
  categories: [Other],
});

/** The closing quote is optional here so that an unterminated string is one token; `lex` reports it. */
export const StringToken = createToken({
  name: 'String',
  pattern: /"(?:[^"\\\r\n]|\\[^\r\n]?)*"?|'[^'\r\n]*'?/,
  categories: [Other],
});

/** How a unit is spelt. Both letters for micro are read as part of one, so that it is one problem. */
export const UNIT_PATTERN = /%|[A-Za-zµμ]+[0-9]*(?:\/[A-Za-zµμ]+)?/;

const unitHere = new RegExp(UNIT_PATTERN, 'y');
/** What may stand between the words of a line: blanks and comments. */
const betweenHere = /(?:[ \t]|\/\*(?:[^*\r\n]|\*(?!\/))*\*\/)*/y;

/** Where the blanks and comments of a line end that begin there. */
function wordAfter(text: string, offset: number): number {
  betweenHere.lastIndex = offset;
  return offset + betweenHere.exec(text)![0].length;
}

/**
 * A unit stands after a number on the same line (`24 GiB`, `300 GB/s`, `20%`). A keyword is no unit (`4 in [...]`),
 * and neither is a word before a colon (`a: 1 b: 2` is two properties with no separator).
 */
function matchUnit(text: string, offset: number, matched: IToken[]): CustomPatternMatcherReturn | null {
  const last = matched.at(-1);
  if (last?.tokenType !== NumberToken) return null;
  if (wordAfter(text, last.endOffset! + 1) !== offset) return null;
  unitHere.lastIndex = offset;
  const match = unitHere.exec(text);
  if (match === null || keywordOf.has(match[0])) return null;
  return text[wordAfter(text, offset + match[0].length)] === ':' ? null : [match[0]];
}

const letters = [...'%_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzµμ'];

export const Unit = createToken({
  name: 'Unit',
  pattern: matchUnit,
  start_chars_hint: letters,
  line_breaks: false,
  categories: [Other],
});

/** Never lexed: `lex` puts one between two tokens where a line end separates members. */
export const NewLine = createToken({ name: 'NewLine', pattern: Lexer.NA, categories: [Separator] });

const Space = createToken({
  name: 'Space',
  pattern: /[\s\ufeff]+/,
  group: Lexer.SKIPPED,
  line_breaks: true,
});
export const LineComment = createToken({ name: 'LineComment', pattern: /\/\/[^\r\n]*/, group: 'comments' });
/** Runs to the end of the file when it is not closed; `lex` reports that. */
export const BlockComment = createToken({
  name: 'BlockComment',
  pattern: /\/\*(?:[^*]|\*(?!\/))*(?:\*\/)?/,
  group: 'comments',
  line_breaks: true,
});

/** Begins a line, or stands behind blanks: there it is a comment in other languages. */
function matchHash(text: string, offset: number): CustomPatternMatcherReturn | null {
  if (!/^\s?$/.test(text.charAt(offset - 1))) return null;
  const [line] = /^#[^\r\n]*/.exec(text.slice(offset)) ?? [];
  return line === undefined ? null : [line];
}

/** Lexed so that a habit from other languages gives one clear problem. */
export const HashComment = createToken({
  name: 'HashComment',
  pattern: matchHash,
  start_chars_hint: ['#'],
  line_breaks: false,
  group: 'comments',
});

/** What the lexer tries, in order; longer signs before their prefixes. */
export const lexedTokens: TokenType[] = [
  Space,
  LineComment,
  BlockComment,
  HashComment,
  Unit,
  Identifier,
  NumberToken,
  StringToken,
  LCurly,
  RCurly,
  LParen,
  RParen,
  LSquare,
  RSquare,
  Comma,
  Semicolon,
  Colon,
  BothWays,
  Arrow,
  Range,
  Dot,
  LessEqual,
  Less,
  GreaterEqual,
  Greater,
  EqualEqual,
  NotEqual,
  Equals,
  Plus,
  Minus,
  Star,
  Slash,
];

/** Every token type the parser may meet. */
export const allTokens: TokenType[] = [
  Other,
  Name,
  Separator,
  Infix,
  NewLine,
  ...Object.values(keywords),
  ...lexedTokens,
];

/** Whether a token may be a user's name. */
export function isName(token: IToken): boolean {
  return token.tokenType === Identifier || token.tokenType.CATEGORIES?.includes(Name) === true;
}
