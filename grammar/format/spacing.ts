/** Whether a space stands between two tokens of one item. */
import type { IToken, TokenType } from 'chevrotain';
import * as t from '../tokens.js';
import type { Structure } from './structure.js';

const CLOSE_BEFORE = new Set<TokenType>([t.Comma, t.Colon, t.RParen, t.RSquare, t.Range, t.Dot]);
const CLOSE_AFTER = new Set<TokenType>([t.LParen, t.LSquare, t.Range, t.Dot]);

export function isSpaced(left: IToken, right: IToken, { bracketed, signs }: Structure): boolean {
  if (CLOSE_BEFORE.has(right.tokenType) || CLOSE_AFTER.has(left.tokenType)) return false;
  if (right.tokenType === t.LParen || right.tokenType === t.LSquare)
    return !bracketed.has(left.endOffset! + 1);
  if (right.tokenType === t.Unit) return right.image !== '%';
  return !signs.has(left.startOffset);
}
