/** Values: chains, expressions, lists, records, meshes, paths, calls. Whatever can be missing is optional. */
import type { TokenType } from 'chevrotain';
import { depthChange, GateParser, type Around } from './parser-gates.js';
import * as t from './tokens.js';

const k = t.keywords;

export class ValueParser extends GateParser {
  /** An expression, or a chain of places. */
  protected readonly value = this.RULE('value', () => {
    this.SUBRULE1(this.link);
    this.MANY(() => {
      this.CONSUME(t.Arrow);
      this.OPTION(() => this.SUBRULE2(this.link));
    });
  });

  protected readonly link = this.RULE('link', () => {
    this.SUBRULE1(this.expression, { LABEL: 'target' });
    this.OPTION1({
      GATE: () => this.LA(2).tokenType === k.to || this.LA(2).tokenType === t.NumberToken,
      DEF: () => {
        this.CONSUME(k.up);
        this.OPTION3(() => this.CONSUME(k.to));
        this.OPTION2(() => this.SUBRULE2(this.expression, { LABEL: 'cap' }));
      },
    });
  });

  /** Operands and operators in order; `build-expression` knows what binds tighter. */
  protected readonly expression = this.RULE('expression', () => {
    this.SUBRULE1(this.term);
    this.MANY({
      GATE: () => !this.isBrokenSign(),
      DEF: () => {
        this.CONSUME(t.Infix, { LABEL: 'operator' });
        this.OPTION(() => this.SUBRULE2(this.term));
      },
    });
  });

  protected readonly term = this.RULE('term', () => {
    this.OR([
      {
        GATE: () => this.isPrefix(),
        ALT: () => {
          this.AT_LEAST_ONE({ GATE: () => this.isPrefix(), DEF: () => this.SUBRULE(this.prefix) });
          this.OPTION(() => this.SUBRULE1(this.atom));
        },
      },
      { ALT: () => this.SUBRULE2(this.atom), IGNORE_AMBIGUITIES: true },
    ]);
  });

  protected readonly prefix = this.RULE('prefix', () => {
    this.OR([{ ALT: () => this.CONSUME(t.Minus) }, { ALT: () => this.CONSUME(k.not) }]);
  });

  protected readonly atom = this.RULE('atom', () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.quantity) },
      { ALT: () => this.CONSUME(t.StringToken, { LABEL: 'string' }) },
      { ALT: () => this.SUBRULE(this.reference) },
      { ALT: () => this.SUBRULE(this.list) },
      { ALT: () => this.SUBRULE(this.record) },
      { ALT: () => this.SUBRULE(this.parens) },
    ]);
  });

  protected readonly quantity = this.RULE('quantity', () => {
    this.CONSUME(t.NumberToken, { LABEL: 'number' });
    this.OPTION(() => this.CONSUME(t.Unit, { LABEL: 'unit' }));
  });

  protected readonly reference = this.RULE('reference', () => {
    this.SUBRULE(this.path);
    this.OPTION(() => this.SUBRULE(this.args));
  });

  protected readonly path = this.RULE('path', () => {
    this.SUBRULE1(this.segment);
    this.MANY(() => {
      this.CONSUME(t.Dot);
      this.OPTION(() => this.SUBRULE2(this.segment));
    });
  });

  protected readonly segment = this.RULE('segment', () => {
    this.CONSUME(t.Name, { LABEL: 'name' });
    this.OPTION(() => this.SUBRULE(this.index));
  });

  protected readonly index = this.RULE('index', () => {
    this.CONSUME(t.LSquare);
    this.OPTION1(() => this.SUBRULE1(this.expression, { LABEL: 'first' }));
    this.OPTION2(() => {
      this.CONSUME(t.Range);
      this.OPTION3(() => this.SUBRULE2(this.expression, { LABEL: 'last' }));
    });
    this.OPTION4({
      GATE: () => this.isBefore(t.RSquare),
      DEF: () => this.SUBRULE(this.stray, { ARGS: [t.RSquare] }),
    });
    this.OPTION5(() => this.CONSUME(t.RSquare));
  });

  /** A part of a rule: takes tokens as long as some gate says so, and brackets that are among them as a whole. */
  protected takeWhile(goesOn: () => boolean): void {
    let depth = 0;
    this.AT_LEAST_ONE({
      GATE: () => depth > 0 || goesOn(),
      DEF: () => {
        const token = this.OR([
          { ALT: () => this.CONSUME(t.Other, { LABEL: 'token' }) },
          { ALT: () => this.CONSUME(t.Comma, { LABEL: 'token' }) },
        ]);
        this.ACTION(() => {
          depth = Math.max(0, depth + depthChange(token));
        });
      },
    });
  }

  /** What stands in brackets and belongs nowhere, up to the bracket that closes them. */
  protected readonly stray = this.RULE('stray', (closer: TokenType = t.RSquare) =>
    this.takeWhile(() => this.isBefore(closer)),
  );

  protected readonly args = this.RULE('args', () => {
    this.CONSUME(t.LParen);
    this.MANY(() =>
      this.OR([
        { ALT: () => this.CONSUME(t.Comma, { LABEL: 'separator' }) },
        { ALT: () => this.SUBRULE(this.arg, { LABEL: 'item' }) },
      ]),
    );
    this.OPTION1({
      GATE: () => this.isBefore(t.RParen),
      DEF: () => this.SUBRULE(this.stray, { ARGS: [t.RParen] }),
    });
    this.OPTION2(() => this.CONSUME(t.RParen));
  });

  protected readonly arg = this.RULE('arg', () => {
    this.OR([
      {
        GATE: () => this.LA(2).tokenType === t.Colon,
        ALT: () => {
          this.CONSUME(t.Name, { LABEL: 'name' });
          this.CONSUME(t.Colon);
          this.OPTION(() => this.SUBRULE1(this.value));
        },
      },
      { ALT: () => this.SUBRULE2(this.value), IGNORE_AMBIGUITIES: true },
    ]);
  });

  protected readonly list = this.RULE('list', () => {
    this.CONSUME(t.LSquare);
    this.MANY(() =>
      this.OR([
        { ALT: () => this.CONSUME(t.Comma, { LABEL: 'separator' }) },
        { ALT: () => this.SUBRULE(this.value, { LABEL: 'item' }) },
      ]),
    );
    this.OPTION1({
      GATE: () => this.isBefore(t.RSquare),
      DEF: () => this.SUBRULE(this.stray, { ARGS: [t.RSquare] }),
    });
    this.OPTION2(() => this.CONSUME(t.RSquare));
  });

  protected readonly record = this.RULE('record', () => {
    const column = this.ACTION(() => this.headColumn());
    this.CONSUME(t.LCurly);
    const limit = this.ACTION(() => this.limitOf(column));
    this.MANY({
      GATE: () => !this.isOutside('value') && !this.isBeyond(limit),
      DEF: () =>
        this.OR([
          { ALT: () => this.CONSUME(t.Separator, { LABEL: 'separator' }) },
          {
            GATE: () => this.isEntry(),
            ALT: () => this.SUBRULE(this.recordEntry, { LABEL: 'item' }),
            IGNORE_AMBIGUITIES: true,
          },
          { ALT: () => this.SUBRULE(this.strayEntry, { LABEL: 'item' }), IGNORE_AMBIGUITIES: true },
        ]),
    });
    this.OPTION({ GATE: () => !this.isBeyond(limit), DEF: () => this.CONSUME(t.RCurly) });
  });

  /** A sign is part of the key, for which it is never right, and so is all else that stands before a colon. */
  protected readonly recordEntry = this.RULE('recordEntry', () => {
    this.OR1([
      {
        GATE: () => this.isMiskeyed(),
        ALT: () => this.SUBRULE(this.miskey, { LABEL: 'miskey' }),
        IGNORE_AMBIGUITIES: true,
      },
      {
        ALT: () => {
          this.OPTION3(() => this.CONSUME(t.Minus, { LABEL: 'sign' }));
          this.OR2([
            { ALT: () => this.CONSUME(t.Name, { LABEL: 'name' }) },
            { ALT: () => this.CONSUME(t.NumberToken, { LABEL: 'name' }) },
          ]);
        },
      },
    ]);
    this.OPTION1(() => this.SUBRULE(this.colon));
    this.OPTION2(() => this.SUBRULE(this.value));
  });

  /** What stands before the colon of an entry and is no key. */
  protected readonly miskey = this.RULE('miskey', () =>
    this.takeWhile(() => this.LA(1).tokenType !== t.Colon && this.LA(1).tokenType !== t.Equals),
  );

  /** What belongs nowhere among entries or imported names, up to where the next may begin. */
  protected readonly strayEntry = this.RULE('strayEntry', () => {
    const goesOn = (): boolean => this.LA(1).tokenType !== t.Comma && !this.isFrom();
    this.AT_LEAST_ONE1({
      GATE: goesOn,
      DEF: () =>
        this.OR1([
          { ALT: () => this.SUBRULE(this.balanced, { ARGS: ['value'] }) },
          { ALT: () => this.takeWhile(goesOn), IGNORE_AMBIGUITIES: true },
        ]),
    });
  });

  /** Anything in curly brackets, by those in it. */
  protected readonly balanced = this.RULE('balanced', (around: Around = 'file') => {
    const column = this.ACTION(() => this.headColumn());
    this.CONSUME(t.LCurly);
    const limit = this.ACTION(() => this.limitOf(column));
    this.MANY({
      GATE: () => !this.isOutside(around) && !this.isBeyond(limit),
      DEF: () =>
        this.OR([
          { ALT: () => this.SUBRULE(this.balanced, { ARGS: [around] }) },
          { ALT: () => this.CONSUME(t.Other) },
          { ALT: () => this.CONSUME(t.Separator) },
        ]),
    });
    this.OPTION({ GATE: () => !this.isBeyond(limit), DEF: () => this.CONSUME(t.RCurly) });
  });

  /** A mesh when its first name is followed by a colon or a size, else an expression in parentheses. */
  protected readonly parens = this.RULE('parens', () => {
    this.CONSUME(t.LParen);
    this.OPTION1(() =>
      this.OR([
        { GATE: () => this.isProperty(), ALT: () => this.SUBRULE(this.meshEntries) },
        { ALT: () => this.SUBRULE(this.value), IGNORE_AMBIGUITIES: true },
      ]),
    );
    this.OPTION2({
      GATE: () => this.isBefore(t.RParen),
      DEF: () => this.SUBRULE(this.stray, { ARGS: [t.RParen] }),
    });
    this.OPTION3(() => this.CONSUME(t.RParen));
  });

  protected readonly meshEntries = this.RULE('meshEntries', () => {
    this.SUBRULE1(this.meshEntry, { LABEL: 'item' });
    this.MANY(() =>
      this.OR([
        { ALT: () => this.CONSUME(t.Comma, { LABEL: 'separator' }) },
        { ALT: () => this.SUBRULE2(this.meshEntry, { LABEL: 'item' }) },
      ]),
    );
  });

  protected readonly meshEntry = this.RULE('meshEntry', () => {
    this.CONSUME(t.Name, { LABEL: 'name' });
    this.OPTION1(() => this.SUBRULE(this.colon));
    this.OPTION2(() => this.SUBRULE(this.expression, { LABEL: 'size' }));
  });

  /** `=` and `->` are read like `:` and reported. */
  protected readonly colon = this.RULE('colon', () => {
    this.OR([
      { ALT: () => this.CONSUME(t.Colon) },
      { ALT: () => this.CONSUME(t.Equals, { LABEL: 'other' }) },
      { ALT: () => this.CONSUME(t.Arrow, { LABEL: 'other' }) },
    ]);
  });
}
