/**
 * Tokens and comments as a tree of items and blocks, ready to be laid out. Separators are gone: where members begin and
 * end is known from the syntax tree. Every comment hangs on something: before an item, after it on its line, at the
 * end of a block, or between two tokens of an item.
 */
import type { IToken } from 'chevrotain';
import type { Comment } from '../lex.js';
import * as t from '../tokens.js';
import type { Structure } from './structure.js';

/** A token of an item, a block in braces, or a comment between them. */
export type Piece =
  | { readonly kind: 'token'; readonly token: IToken }
  | { readonly kind: 'comment'; readonly text: string; readonly ownLine: boolean }
  | Block;

export interface Block {
  readonly kind: 'block';
  /** Comments on the line of the opening brace. */
  readonly opening: readonly string[];
  readonly items: readonly Item[];
  /** Comments after the last item, each on a line of its own. */
  readonly closing: readonly OwnComment[];
}

export interface OwnComment {
  readonly text: string;
  /** A blank line stands before it in the source. */
  readonly blankBefore: boolean;
}

export interface Item {
  readonly leading: readonly OwnComment[];
  /** A blank line stands between the last comment before the item and the item. */
  readonly blankAfterLeading: boolean;
  readonly pieces: readonly Piece[];
  /** Comments behind the item on its last line. */
  readonly trailing: readonly string[];
}

/** What a file is: the items of its top level, and comments after the last. */
export type FileLayout = Pick<Block, 'items' | 'closing'>;

export function layOutFile(
  text: string,
  tokens: readonly IToken[],
  comments: readonly Comment[],
  structure: Structure,
): FileLayout {
  const reader = createReader(text, tokens, comments, structure);
  const { items, closing } = reader.items(undefined);
  return { items, closing };
}

/** A comment as it is written: lines end with a line feed, and no blanks stand behind what is said to the end of a line. */
export function canonicalComment({ text }: Pick<Comment, 'text'>): string {
  const said = text.replace(/\r\n?/g, '\n');
  return said.startsWith('//') ? said.replace(/[ \t]+$/, '') : said;
}

function createReader(
  text: string,
  all: readonly IToken[],
  comments: readonly Comment[],
  { memberEnd }: Structure,
): { readonly items: (closer: IToken | undefined) => Omit<Block, 'kind'> } {
  const tokens = all.filter(({ tokenType }) => tokenType !== t.NewLine);
  let at = 0;
  let nextComment = 0;
  /** Where what was read last ends. */
  let lastEnd = 0;

  const take = (): IToken => {
    const token = tokens[at++]!;
    lastEnd = token.endOffset! + 1;
    return token;
  };
  const takeComment = (): Comment => {
    const comment = comments[nextComment++]!;
    lastEnd = comment.span.end;
    return comment;
  };
  const commentBefore = (offset: number): Comment | undefined => {
    const comment = comments[nextComment];
    return comment !== undefined && comment.span.start < offset ? comment : undefined;
  };
  const lineBreaks = (start: number, end: number): number =>
    text.slice(start, end).split(/\r\n|[\r\n]/).length - 1;
  const offsetOf = (token: IToken | undefined): number => token?.startOffset ?? Infinity;

  /** Comments up to an offset that stand on the line of what was read last. */
  const onThisLine = (offset: number): string[] => {
    const found: string[] = [];
    for (;;) {
      const comment = commentBefore(offset);
      if (comment === undefined || lineBreaks(lastEnd, comment.span.start) > 0) return found;
      found.push(canonicalComment(takeComment()));
    }
  };
  /** The other comments up to an offset. */
  const onOwnLines = (offset: number): OwnComment[] => {
    const found: OwnComment[] = [];
    for (let comment = commentBefore(offset); comment !== undefined; comment = commentBefore(offset)) {
      const blankBefore = lineBreaks(lastEnd, comment.span.start) > 1;
      found.push({ text: canonicalComment(takeComment()), blankBefore });
    }
    return found;
  };
  const skipSeparators = (): void => {
    while (tokens[at]?.tokenType === t.Comma) {
      const { endOffset } = tokens[at++]!;
      // A comma is nothing to stand beside: a comment after it is after the item.
      if (commentBefore(endOffset!) === undefined) lastEnd = endOffset! + 1;
    }
  };

  const item = (leading: readonly OwnComment[]): Item => {
    const start = tokens[at]!.startOffset;
    const blankAfterLeading = leading.length > 0 && lineBreaks(lastEnd, start) > 1;
    const end = memberEnd.get(start);
    if (end === undefined) throw new Error(`no member begins at ${start}`);
    const pieces: Piece[] = [];
    while (offsetOf(tokens[at]) < end) {
      for (let c = commentBefore(tokens[at]!.startOffset); c; c = commentBefore(tokens[at]!.startOffset)) {
        const ownLine = lineBreaks(lastEnd, c.span.start) > 0;
        pieces.push({ kind: 'comment', text: canonicalComment(takeComment()), ownLine });
      }
      const token = take();
      if (token.tokenType !== t.LCurly) pieces.push({ kind: 'token', token });
      else pieces.push({ kind: 'block', ...items(token) });
    }
    const next = tokens[at];
    const trailing = onThisLine(offsetOf(next));
    if (next?.tokenType !== t.Comma) return { leading, blankAfterLeading, pieces, trailing };
    skipSeparators();
    // What stands beside the comma is on the item's line only where no comment has ended that line before the comma.
    const lineEnded = trailing.at(-1)?.startsWith('//') === true;
    const beside = lineEnded ? [] : onThisLine(offsetOf(tokens[at]));
    return { leading, blankAfterLeading, pieces, trailing: [...trailing, ...beside] };
  };

  /** Items up to the closing brace, which is taken, or to the end of the file. */
  const items = (opener: IToken | undefined): Omit<Block, 'kind'> => {
    const opening = opener === undefined ? [] : onThisLine(offsetOf(tokens[at]));
    const found: Item[] = [];
    for (;;) {
      skipSeparators();
      const next = tokens[at];
      const own = onOwnLines(offsetOf(next));
      if (next === undefined || next.tokenType === t.RCurly) {
        if (next !== undefined) take();
        return { opening, items: found, closing: own };
      }
      found.push(item(own));
    }
  };
  return { items };
}
