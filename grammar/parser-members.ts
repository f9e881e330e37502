/**
 * Members that every block knows: properties, and the alternative that takes any item no other rule takes.
 */
import type { IOrAlt, TokenType } from 'chevrotain';
import type { Around } from './parser-gates.js';
import { ValueParser } from './parser-values.js';
import * as t from './tokens.js';

export class MemberParser extends ValueParser {
  /**
   * A block of `items`; what none of them takes is an unknown one. It ends without its brace before an item that can only
   * belong further out, in `around`, and so does the block of an unknown item before one that belongs in `inside`.
   * Where the file item leaves blocks open, it also ends before a line that begins no deeper than the line it opens on.
   */
  protected block(around: Around, items: readonly IOrAlt<unknown>[], inside = around): void {
    const column = this.ACTION(() => this.headColumn());
    this.SUBRULE(this.open);
    const limit = this.ACTION(() => this.limitOf(column));
    this.MANY({
      GATE: () => !this.isOutside(around) && !this.isBeyond(limit),
      DEF: () =>
        this.OR<unknown>([
          { ALT: () => this.CONSUME(t.Separator, { LABEL: 'separator' }) },
          ...items,
          {
            ALT: () => this.SUBRULE(this.unknown, { ARGS: [inside], LABEL: 'item' }),
            IGNORE_AMBIGUITIES: true,
          },
        ]),
    });
    this.OPTION({ GATE: () => !this.isBeyond(limit), DEF: () => this.CONSUME(t.RCurly) });
  }

  /** The item that a property is, beside those that begin with a keyword: one of these is none, with a colon or not. */
  protected propertyItem(...keywords: readonly TokenType[]): IOrAlt<unknown> {
    return {
      GATE: () => this.isProperty() && !keywords.includes(this.LA(1).tokenType),
      ALT: () => this.SUBRULE(this.property, { LABEL: 'item' }),
      IGNORE_AMBIGUITIES: true,
    };
  }

  protected readonly propertyBlock = this.RULE('propertyBlock', (around: Around = 'file') =>
    this.block(around, [
      {
        GATE: () => this.isProperty() || this.isRecordProperty(),
        ALT: () => this.SUBRULE(this.property, { LABEL: 'item' }),
        IGNORE_AMBIGUITIES: true,
      },
    ]),
  );

  /** A colon behind the keyword of an item, which takes none. */
  protected readonly surplus = this.RULE('surplus', () => {
    this.OR([
      { ALT: () => this.CONSUME(t.Colon, { LABEL: 'sign' }) },
      { ALT: () => this.CONSUME(t.Equals, { LABEL: 'sign' }) },
    ]);
  });

  /** Start of a block. A line end stands in for a forgotten `{`; callers have checked `opensBlock`. */
  protected readonly open = this.RULE('open', () => {
    this.OR([{ ALT: () => this.CONSUME(t.LCurly) }, { ALT: () => this.CONSUME(t.NewLine) }]);
  });

  protected readonly property = this.RULE('property', () => {
    this.CONSUME(t.Name, { LABEL: 'name' });
    this.OPTION1(() => this.SUBRULE(this.colon));
    this.OPTION2(() => this.SUBRULE(this.value));
  });

  /** Any other item: its words up to the line end, and a balanced block. */
  protected readonly unknown = this.RULE('unknown', (around: Around = 'file') => {
    this.OR([
      {
        ALT: () => {
          this.CONSUME(t.Other, { LABEL: 'token' });
          this.OPTION1({ GATE: () => this.isTail(), DEF: () => this.SUBRULE(this.tail) });
          this.OPTION2(() => this.SUBRULE1(this.balanced, { ARGS: [around] }));
        },
      },
      { ALT: () => this.SUBRULE2(this.balanced, { ARGS: [around] }) },
    ]);
  });

  protected readonly tail = this.RULE('tail', () => this.takeWhile(() => this.isTail()));

  /** Words in the head of an item that belong to none of its clauses. */
  protected readonly junk = this.RULE('junk', () => {
    this.AT_LEAST_ONE({
      GATE: () => this.isJunk(),
      DEF: () => this.CONSUME(t.Other, { LABEL: 'token' }),
    });
  });
}
