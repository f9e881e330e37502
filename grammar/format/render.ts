/**
 * A layout as text. A block is on one line where that fits, nothing but separators is lost by it, and it is no more than
 * a list of simple members; else each member has a line. Nothing depends on the white space of the source but whether a
 * comment stands behind something or on a line of its own, and the blank lines beside comments.
 */
import * as t from '../tokens.js';
import type { Block, FileLayout, Item, OwnComment, Piece } from './layout.js';
import { isSpaced } from './spacing.js';
import type { Structure } from './structure.js';

/** Longest line that a block is put on. */
export const LINE_WIDTH = 100;

const INDENT = '  ';

/** Items whose members are statements, which have lines of their own. */
const STATEMENT_BLOCKS = new Set(['topology', 'plan', 'flow', 'expect']);

/** Kinds of one-line items that stand together without a blank line; those of a file's head count as one. */
const HEAD = new Set(['language', 'import']);

export function renderFile({ items, closing }: FileLayout, structure: Structure): string {
  const lines: string[] = [];
  items.forEach((item, index) => {
    const previous = items[index - 1];
    if (previous !== undefined && needsBlank(previous, item, structure)) lines.push('');
    lines.push(...leadingLines(item, ''), ...renderItem(item, '', structure));
  });
  lines.push(...ownLines(closing, '', items.length > 0));
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** A blank line stands between items unless both are one line of the same kind, and where the source has it at a comment. */
function needsBlank(previous: Item, item: Item, structure: Structure): boolean {
  if (item.leading[0]?.blankBefore === true) return true;
  const kind = (each: Item): string => {
    const word = firstWord(each);
    return HEAD.has(word) ? 'head' : word;
  };
  const isShort = (each: Item): boolean => renderItem(each, '', structure).length === 1;
  return kind(previous) !== kind(item) || !isShort(previous) || !isShort(item);
}

function firstWord({ pieces }: Item): string {
  const [first] = pieces;
  return first?.kind === 'token' ? first.token.image : '';
}

function ownLines(comments: readonly OwnComment[], indent: string, after: boolean): string[] {
  return comments.flatMap(({ text, blankBefore }, index) =>
    blankBefore && (index > 0 || after) ? ['', indent + text] : [indent + text],
  );
}

/** Comments before an item, and the blank line that may follow them. The one before them is the caller's. */
function leadingLines({ leading, blankAfterLeading }: Item, indent: string): string[] {
  const lines = ownLines(leading, indent, false);
  return blankAfterLeading ? [...lines, ''] : lines;
}

/** The lines of an item without the comments before it. */
function renderItem(item: Item, indent: string, structure: Structure): string[] {
  const tail = item.trailing.map((text) => ` ${text}`).join('');
  const flat = flatItem(item, structure);
  if (flat !== undefined && indent.length + flat.length <= LINE_WIDTH) return [indent + flat + tail];
  const lines: string[] = [];
  let line = '';
  const push = (text: string): void => {
    lines.push((lines.length === 0 ? indent : '') + text);
  };
  let previous: Piece | undefined;
  for (const piece of item.pieces) {
    const gap = gapBetween(previous, piece, structure);
    if (piece.kind === 'token') line += gap + piece.token.image;
    else if (piece.kind === 'comment') {
      if (piece.ownLine && line !== '') {
        push(line);
        line = indent + INDENT + piece.text;
      } else line += gap + piece.text;
      if (piece.text.startsWith('//')) {
        push(line);
        line = indent + INDENT;
      }
    } else {
      const block = renderBlock(piece, firstWord(item), indent, line + gap, structure);
      for (const each of block.slice(0, -1)) push(each);
      line = block.at(-1)!;
    }
    previous = piece;
  }
  push(line + tail);
  return lines;
}

/** The lines of a block behind what stands on its first line. */
function renderBlock(
  block: Block,
  owner: string,
  indent: string,
  head: string,
  structure: Structure,
): string[] {
  const flat = flatBlock(block, owner, structure);
  if (flat !== undefined && indent.length + head.length + flat.length <= LINE_WIDTH) return [head + flat];
  const inner = indent + INDENT;
  const lines = [[`${head}{`, ...block.opening].join(' ')];
  block.items.forEach((item, index) => {
    if (index > 0 && item.leading[0]?.blankBefore === true) lines.push('');
    lines.push(...leadingLines(item, inner), ...renderItem(item, inner, structure));
  });
  lines.push(...ownLines(block.closing, inner, block.items.length > 0), `${indent}}`);
  return lines;
}

/** The item on one line; undefined where it cannot be. */
function flatItem({ pieces }: Item, structure: Structure): string | undefined {
  let text = '';
  let previous: Piece | undefined;
  for (const piece of pieces) {
    const flat = flatPiece(piece, firstWord({ pieces } as Item), structure);
    if (flat === undefined) return undefined;
    text += gapBetween(previous, piece, structure) + flat;
    previous = piece;
  }
  return text;
}

function flatPiece(piece: Piece, owner: string, structure: Structure): string | undefined {
  if (piece.kind === 'token') return piece.token.image;
  if (piece.kind === 'block') return flatBlock(piece, owner, structure);
  return piece.ownLine || piece.text.startsWith('//') || piece.text.includes('\n') ? undefined : piece.text;
}

function flatBlock(block: Block, owner: string, structure: Structure): string | undefined {
  const { items, opening, closing } = block;
  if (opening.length + closing.length > 0) return undefined;
  if (items.some(({ leading, trailing }) => leading.length + trailing.length > 0)) return undefined;
  if (items.length === 0) return '{}';
  const nested = items.some(({ pieces }) => pieces.some((piece) => piece.kind === 'block'));
  if (items.length > 1 && (nested || STATEMENT_BLOCKS.has(owner))) return undefined;
  const flat = items.map((item) => flatItem(item, structure));
  return flat.includes(undefined) ? undefined : `{ ${flat.join(', ')} }`;
}

function gapBetween(previous: Piece | undefined, piece: Piece, structure: Structure): string {
  if (previous === undefined || (previous.kind === 'comment' && previous.text.startsWith('//'))) return '';
  if (previous.kind === 'token' && piece.kind === 'token')
    return isSpaced(previous.token, piece.token, structure) ? ' ' : '';
  if (previous.kind === 'token' && piece.kind === 'block')
    return previous.token.tokenType === t.LParen || previous.token.tokenType === t.LSquare ? '' : ' ';
  if (previous.kind === 'block' && piece.kind === 'token')
    return piece.token.tokenType === t.Comma || piece.token.tokenType === t.RSquare ? '' : ' ';
  return ' ';
}
