/**
 * The gates of the grammar: the few places where one token does not decide, and what decides there instead. A gate
 * only looks at tokens around the next one and consumes nothing.
 */
import type { IToken, TokenType } from 'chevrotain';
import { CstParser, EOF } from 'chevrotain';
import { isComparison } from './operators.js';
import * as t from './tokens.js';

const k = t.keywords;

/** Which items can only belong further out: those of the file, those of the plan or topology around, or all of them. */
export type Around = 'file' | 'plan' | 'topology' | 'value';

const fileItems = new Set<TokenType>([
  ...[k.language, k.import, k.param, k.device, k.topology, k.model, k.workload, k.plan],
]);
const planItems = [k.stage, k.kv, k.flow, k.expect];
const topologyItems = [k.tier, k.link, k.overhead];
const itemsAround: Record<Around, ReadonlySet<TokenType>> = {
  file: new Set(),
  plan: new Set(planItems),
  topology: new Set(topologyItems),
  value: new Set([...planItems, ...topologyItems]),
};
/** Items that may have no name of their own between the keyword and the block. */
const nameless = new Set<TokenType>([k.kv, k.expect, k.overhead, k.import]);

/** Tokens of one line that are looked through for the bracket that closes another. */
const FAR = 64;

/** How much deeper in parentheses and square brackets a text is behind a token. */
export function depthChange({ tokenType }: IToken): number {
  if (tokenType === t.LParen || tokenType === t.LSquare) return 1;
  return tokenType === t.RParen || tokenType === t.RSquare ? -1 : 0;
}

export class GateParser extends CstParser {
  /** Column where the top-level item being read starts. */
  private fileItemColumn = 1;
  /** Whether that item opens more blocks than it closes: then the layout says where they end. */
  private isUnclosed = false;
  /** The line whose column was asked for last. */
  private lastLine = { line: 0, column: 1 };

  /** Validations find faults in the grammar itself; tests run them. */
  constructor(skipValidations: boolean) {
    super(t.allTokens, { maxLookahead: 1, nodeLocationTracking: 'onlyOffset', skipValidations });
  }

  /** Part of the rule of a file: takes note of where its next item begins. */
  protected beginItem(): void {
    this.fileItemColumn = this.LA(1).startColumn ?? 1;
    this.lastLine = { line: 0, column: 1 };
    this.isUnclosed = this.leavesOpen();
  }

  /** Whether some block of the next item is open where the item after it begins, or the file ends. */
  private leavesOpen(): boolean {
    let depth = 0;
    for (let ahead = 1; ; ahead++) {
      const { tokenType } = this.LA(ahead);
      if (tokenType === EOF || (depth > 0 && this.isOutside('file', ahead))) return depth > 0;
      if (tokenType === t.LCurly) depth++;
      else if (tokenType === t.RCurly) depth--;
      if (depth === 0 && [t.RCurly, t.Comma, t.NewLine].includes(tokenType)) return false;
      if (depth < 0) return false;
    }
  }

  protected isFileItem(): boolean {
    const word = this.LA(1).tokenType;
    return fileItems.has(word) && (word === k.param || this.LA(2).tokenType !== t.Colon);
  }

  /** An item of a plan that stands outside one, because a `}` too many has closed the plan. */
  protected isPlanItem(): boolean {
    return itemsAround.plan.has(this.LA(1).tokenType) && this.isItemHead();
  }

  protected isProperty(): boolean {
    const after = this.LA(2).tokenType;
    const colon = after === t.Colon || after === t.Equals;
    return t.isName(this.LA(1)) && (colon || after === t.NumberToken || after === t.StringToken);
  }

  /** A property whose colon was forgotten, before a record. A keyword begins an item that stands in the wrong place. */
  protected isRecordProperty(): boolean {
    if (this.LA(1).tokenType !== t.Identifier || this.LA(2).tokenType !== t.LCurly) return false;
    const [key, sign] = [this.LA(3), this.LA(4).tokenType];
    return (t.isName(key) || key.tokenType === t.NumberToken) && (sign === t.Colon || sign === t.Equals);
  }

  protected isPlaced(): boolean {
    const word = this.LA(1).tokenType;
    const after = this.LA(2).tokenType;
    const isColon = after === t.Colon || after === t.Equals;
    if (after === t.LCurly || (isColon && this.LA(3).tokenType === t.LCurly))
      return !itemsAround.topology.has(word);
    return (isColon && !this.isItemBehindColon()) || after === t.LSquare;
  }

  /** The kind of devices, by itself behind their count with no colon between. */
  protected isUnmarkedKind(): boolean {
    return this.LA(0).tokenType === t.RSquare && t.isName(this.LA(1)) && this.endsMember(2);
  }

  /** A tier or a link whose keyword has a colon behind it, by what follows: no device of that name has a block, or `<->`. */
  private isItemBehindColon(): boolean {
    const word = this.LA(1).tokenType;
    if (word === k.tier) return t.isName(this.LA(3)) && this.LA(4).tokenType === t.LCurly;
    if (word !== k.link) return false;
    for (let ahead = 3; ahead < FAR; ahead++) {
      const { tokenType } = this.LA(ahead);
      if (tokenType === t.BothWays) return true;
      if ([t.Comma, t.NewLine, t.LCurly, t.RCurly, EOF].includes(tokenType)) return false;
    }
    return false;
  }

  /** Whether the block of a group follows, and no record: one behind a count, or by what it begins with. */
  protected opensGroup(): boolean {
    if (this.LA(1).tokenType !== t.LCurly) return false;
    if (this.LA(-1).tokenType === t.RSquare) return true;
    const inside = this.LA(2);
    if (itemsAround.topology.has(inside.tokenType)) return this.isItemHead(2);
    const after = this.LA(3).tokenType;
    return t.isName(inside) && (after === t.LSquare || after === t.LCurly);
  }

  /** A keyword followed by what its item goes on with, so that it is no property or path of that name. */
  protected isItemHead(ahead = 1): boolean {
    const word = this.LA(ahead).tokenType;
    const after = this.LA(ahead + 1);
    if (word === k.language) return after.tokenType === t.NumberToken;
    if (nameless.has(word)) return after.tokenType === t.LCurly;
    return t.isName(after);
  }

  /**
   * Whether the next item can only belong further out. File items count when they stand no deeper than the file
   * item being read, so that one written inside a block by mistake is one unknown item.
   */
  protected isOutside(around: Around, ahead = 1): boolean {
    const next = this.LA(ahead);
    const isFileItem = fileItems.has(next.tokenType);
    if (!isFileItem && !itemsAround[around].has(next.tokenType)) return false;
    if (!this.isItemHead(ahead) || !this.startsLine(ahead)) return false;
    return !isFileItem || next.startColumn! <= this.fileItemColumn;
  }

  private startsLine(ahead = 1): boolean {
    const before = this.LA(ahead - 1);
    return this.LA(ahead).startLine !== before.endLine || before.tokenType === t.NewLine;
  }

  /** Where the line begins on which a block is about to be opened; asked for only where blocks are open at the end. */
  protected headColumn(): number {
    return this.isUnclosed ? this.lineColumn() : 0;
  }

  /**
   * How deep the lines of a block begin at least, given where the line of its `{` does, which was just read; 0 where its
   * first line is no deeper, so that its layout says nothing.
   */
  protected limitOf(headColumn: number): number {
    const first = this.LA(1);
    return first.startLine === this.LA(0).endLine || first.startColumn! > headColumn ? headColumn : 0;
  }

  /** Whether the next line begins too far out to be in a block of that limit; the `}` of the block may stand at the limit. */
  protected isBeyond(limit: number): boolean {
    const { tokenType, startColumn } = this.LA(1);
    if (limit === 0 || tokenType === EOF || !this.startsLine()) return false;
    return tokenType === t.RCurly ? startColumn! < limit : startColumn! <= limit;
  }

  protected isFrom(): boolean {
    return this.LA(1).tokenType === k.from && this.LA(2).tokenType === t.StringToken;
  }

  /** Whether one of these words begins its clause here; before another of them it is a user's name. */
  protected isHeaderWord(...words: readonly TokenType[]): boolean {
    const after = this.LA(2);
    return words.includes(this.LA(1).tokenType) && t.isName(after) && !words.includes(after.tokenType);
  }

  protected isNextDim(): boolean {
    const after = this.LA(3).tokenType;
    return t.isName(this.LA(2)) && (this.endsMember(3) || after === k.on || after === k.by);
  }

  private endsMember(ahead: number): boolean {
    return [t.Comma, t.NewLine, t.RCurly].includes(this.LA(ahead).tokenType);
  }

  /** Whether a comma goes on with a path, or should, and not with a property. */
  protected isNextPath(): boolean {
    const after = this.LA(2);
    if (t.isName(after)) return this.LA(3).tokenType !== t.Colon;
    return after.tokenType === t.LCurly || after.tokenType === t.Comma;
  }

  protected isNever(): boolean {
    const after = this.LA(2);
    return t.isName(after) || [t.NewLine, t.RCurly, t.Colon].includes(after.tokenType);
  }

  protected isSign(ahead = 1): boolean {
    const { tokenType, image } = this.LA(ahead);
    return tokenType === t.Equals || isComparison(image);
  }

  /** Whether signs of a comparison follow side by side: they were to be one, as in `< =` or `===`. */
  protected isBrokenSign(): boolean {
    return this.isSign() && this.isSign(2);
  }

  /** Whether a sign that is none stands behind an expression, or a value with no sign between them. */
  protected isMiscompared(): boolean {
    return this.isSign() || this.LA(1).tokenType === t.NumberToken;
  }

  /** Two names in a row, as in a mistyped `never all_gather`. */
  protected isPhrase(): boolean {
    const [first, second] = [this.LA(1), this.LA(2)];
    if (!t.isName(first) || first.tokenType === k.not || !t.isName(second)) return false;
    return second.tokenType !== k.and && second.tokenType !== k.or && second.tokenType !== k.for;
  }

  protected isPrefix(): boolean {
    const type = this.LA(1).tokenType;
    if (type === t.Minus) return true;
    const after = this.LA(2);
    const operand = [t.LParen, t.NumberToken, t.Minus].includes(after.tokenType) || t.isName(after);
    return type === k.not && operand && ![k.and, k.or, k.for, k.in, k.up].includes(after.tokenType);
  }

  /** Whether something stands before the `closer` of the brackets around, which are closed on this line. */
  protected isBefore(closer: TokenType): boolean {
    let depth = 0;
    for (let ahead = 1; ahead <= FAR; ahead++) {
      const next = this.LA(ahead);
      const type = next.tokenType;
      if (depth === 0 && (type === t.RParen || type === t.RSquare)) return type === closer && ahead > 1;
      if ([t.LCurly, t.RCurly, t.NewLine].includes(type) || next.image === '') return false;
      depth += depthChange(next);
    }
    return false;
  }

  /** Whether the sign after a key follows, or what is written for it by mistake. */
  private isKeySign(ahead: number): boolean {
    return [t.Colon, t.Equals, t.Arrow].includes(this.LA(ahead).tokenType);
  }

  /** How many tokens the key of an entry is that follows: 2 with a sign, 0 for none. */
  private keyLength(): number {
    const length = this.LA(1).tokenType === t.Minus ? 2 : 1;
    const key = this.LA(length);
    return t.isName(key) || key.tokenType === t.NumberToken ? length : 0;
  }

  /** Whether an entry of a record follows: a key and its sign, or, where one may begin, what was meant as a key. */
  protected isEntry(): boolean {
    const length = this.keyLength();
    if (length > 0 && this.isKeySign(length + 1)) return true;
    const before = this.LA(0).tokenType;
    const mayBegin = before === t.LCurly || before === t.Comma || before === t.NewLine;
    return mayBegin && (length > 0 || this.isMiskeyed());
  }

  /** Whether a colon follows further on in the entry than after one name or number. */
  protected isMiskeyed(): boolean {
    const length = this.keyLength();
    if (length > 0 && this.isKeySign(length + 1)) return false;
    let depth = 0;
    for (let ahead = 1; ahead <= FAR; ahead++) {
      const next = this.LA(ahead);
      const type = next.tokenType;
      if (depth === 0 && (type === t.Colon || type === t.Equals)) return ahead > 1;
      if ([t.LCurly, t.RCurly, t.NewLine, EOF].includes(type)) return false;
      if (depth === 0 && type === t.Comma) return false;
      depth += depthChange(next);
    }
    return false;
  }

  protected isJunk(): boolean {
    const type = this.LA(1).tokenType;
    if (this.isPlanItem() || this.isOutside('file')) return false;
    return ![t.LCurly, t.RCurly, t.NewLine, t.Comma].includes(type) && this.LA(1).image !== '';
  }

  protected isTail(): boolean {
    const type = this.LA(1).tokenType;
    // After a comma a property or another item begins; otherwise the comma is inside this one.
    if (type === t.Comma) return t.isName(this.LA(2)) && this.LA(3).tokenType !== t.Colon;
    return this.isJunk();
  }

  /**
   * A `{` follows, or deeper-indented lines do and only the `{` was forgotten. What may go without a block can be followed by
   * anything, indented in any way: there it was only where the lines begin with `first`, as the items of the block do.
   */
  protected opensBlock(first?: TokenType): boolean {
    const next = this.LA(1);
    if (next.tokenType === t.LCurly) return true;
    if (next.tokenType !== t.NewLine) return false;
    if (first !== undefined && (this.LA(2).tokenType !== first || this.LA(3).tokenType === t.Colon))
      return false;
    return t.isName(this.LA(2)) && this.LA(2).startColumn! > this.lineColumn();
  }

  /** Column where the line of the last token starts. */
  private lineColumn(): number {
    const { startLine } = this.LA(0);
    if (startLine !== this.lastLine.line) {
      let back = 0;
      while (this.LA(back - 1).startLine === startLine) back--;
      this.lastLine = { line: startLine!, column: this.LA(back).startColumn! };
    }
    return this.lastLine.column;
  }
}
