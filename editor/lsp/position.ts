/**
 * Where in the grammar an offset stands: which blocks are open around it, and what of the current member is already
 * written. Read off the tokens alone, so that it is as good in a file that is being typed as in a sound one.
 */
import type { IToken } from 'chevrotain';
import type { Lexed } from '../../grammar/lex.js';
import { spanOf, waitsForMore } from '../../grammar/lex.js';
import { Comma, isName, NewLine, RCurly } from '../../grammar/tokens.js';

/** An open bracket, and the words of its member before it. */
export interface OpenBracket {
  readonly bracket: string;
  readonly head: readonly string[];
  /** Offset of the first token of the head, or of the bracket. */
  readonly start: number;
}

export interface GrammarPosition {
  /** Open brackets, outermost first. */
  readonly open: readonly OpenBracket[];
  /** Words of the current member before the offset, without the one that is being typed. */
  readonly before: readonly string[];
  /** Words of the other members of the innermost bracket, or of the file. */
  readonly beside: readonly (readonly string[])[];
  /** How many of them stand before the offset. */
  readonly ahead: number;
  /** What is being typed: the part of a word before the offset. */
  readonly typing: string;
  readonly typingStart: number;
  /** The member goes on behind what is being typed. */
  readonly goesOn: boolean;
  /** The offset lies in a string; `typing` is its text so far. */
  readonly inString: boolean;
}

const OPENERS = new Set(['{', '(', '[']);
const CLOSERS = new Set(['}', ')', ']']);

/** The position of an offset; undefined inside a comment. */
export function positionAt(text: string, lexed: Lexed, offset: number): GrammarPosition | undefined {
  if (lexed.comments.some((comment) => isInside(comment.text, comment.span, offset))) return undefined;
  const open: OpenBracket[] = [];
  let member: IToken[] = [];
  const outer: IToken[][] = [];
  /** Members that are over, by the bracket that they stand in. */
  const done: IToken[][][] = [[]];
  let next = 0;
  let typing: IToken | undefined;
  for (; next < lexed.tokens.length; next++) {
    const token = lexed.tokens[next]!;
    const { start, end } = spanOf(token);
    if (start >= offset) break;
    // A line end stands where the token before it ends: behind the offset, if that is on the same line still.
    if (token.tokenType === NewLine && !LINE_BREAK.test(text.slice(start, offset))) break;
    if (end >= offset && isTyped(token, offset)) {
      typing = token;
      next++;
      break;
    }
    const { image, tokenType } = token;
    if (OPENERS.has(image)) {
      open.push({
        bracket: image,
        head: member.map((each) => each.image),
        start: member[0]?.startOffset ?? start,
      });
      outer.push([...member, token]);
      done.push([]);
      member = [];
    } else if (CLOSERS.has(image)) {
      if (open.length > 0) {
        open.pop();
        done.pop();
      }
      member = [...(outer.pop() ?? []), token];
      // A block ends its member, but for the names of an import; other brackets are part of it.
      if (image === '}' && member[0]!.image !== 'import') {
        done.at(-1)!.push(member);
        member = [];
      }
    } else if (
      tokenType === NewLine ||
      (tokenType === Comma &&
        !namesDevices(member) &&
        !(namesDims(open.at(-1), member) && isDim(lexed.tokens.slice(next + 1, next + 3), offset)))
    ) {
      done.at(-1)!.push(member);
      member = [];
    } else member.push(token);
  }
  const start = typing?.startOffset ?? offset;
  // The line end may come as a token only with what is typed next.
  const last = member.at(-1);
  const cut = last !== undefined && endsMember(last, text.slice(spanOf(last).end, start));
  const ahead = cut ? [...done.at(-1)!, member] : done.at(-1)!;
  const beside = [...ahead, ...membersBehind(text, lexed.tokens.slice(next), offset)];
  const inString = typing?.image.startsWith('"') === true;
  return {
    open,
    before: cut ? [] : member.map(({ image }) => image),
    beside: beside.map((each) => each.map(({ image }) => image)),
    ahead: ahead.length,
    goesOn: goesOn(lexed.tokens[next], typing),
    typing: text.slice(inString ? start + 1 : start, offset),
    typingStart: inString ? start + 1 : start,
    inString,
  };
}

/** Whether a token goes on with the word before it: only a colon needs no word that is being typed. */
function goesOn(token: IToken | undefined, typing: IToken | undefined): boolean {
  if (token === undefined || token.tokenType === NewLine || token.tokenType === Comma) return false;
  return token.image === ':' || (typing !== undefined && !CLOSERS.has(token.image));
}

/** Whether a comma goes on with the member: devices of a stage may be several ranges. */
function namesDevices(member: readonly IToken[]): boolean {
  return member[0]?.image === 'stage' && member.some(({ image }) => image === 'on');
}

/** Whether a member of a stage names dimensions so far, of which a comma may part several. */
function namesDims(block: OpenBracket | undefined, [first, ...rest]: readonly IToken[]): boolean {
  return (
    ['stage', 'override'].includes(block?.head[0] ?? '') &&
    ['shard', 'replicate'].includes(first?.image ?? '') &&
    rest.every((token) => (isName(token) || token.tokenType === Comma) && !ENDS_DIMS.has(token.image))
  );
}

const ENDS_DIMS = new Set(['on', 'by']);

/** Whether what stands behind a comma is a dimension, or may become one where the offset is; else a member begins. */
function isDim([name, after]: readonly IToken[], offset: number): boolean {
  if (name === undefined || name.startOffset >= offset) return true;
  const ends = after === undefined || [Comma, NewLine, RCurly].includes(after.tokenType);
  return isName(name) && (ends || ENDS_DIMS.has(after.image));
}

/** The members that follow the one that stands at an offset, up to the bracket that closes around it. */
function membersBehind(text: string, tokens: readonly IToken[], offset: number): readonly IToken[][] {
  const members: IToken[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    const { image, tokenType } = token;
    if (CLOSERS.has(image) && --depth < 0) break;
    if (depth === 0 && (tokenType === NewLine || tokenType === Comma || image === '}')) members.push([]);
    else if (depth === 0) members.at(-1)!.push(token);
    if (OPENERS.has(image)) depth++;
  }
  const [first] = tokens;
  const startsAnother =
    first !== undefined &&
    first.tokenType !== NewLine &&
    LINE_BREAK.test(text.slice(offset, first.startOffset));
  return startsAnother ? members : members.slice(1);
}

/** In a line comment its end is inside too; a block comment's is not. */
function isInside(text: string, { start, end }: { start: number; end: number }, offset: number): boolean {
  return start < offset && (text.startsWith('//') ? offset <= end : offset < end);
}

/** Words grow as they are typed, and strings up to their closing quote; signs do not. */
function isTyped(token: IToken, offset: number): boolean {
  const { image } = token;
  if (!image.startsWith('"')) return /^[\w%µμ]/.test(image);
  const isClosed = image.length > 1 && image.endsWith('"');
  return !isClosed || offset < spanOf(token).end;
}

const LINE_BREAK = /[\r\n]/;

/** Whether a line end behind a token ends the member: not where the token waits for more. */
function endsMember(last: IToken, gap: string): boolean {
  return LINE_BREAK.test(gap) && !waitsForMore(last);
}
