/**
 * The grammar of plan files: tokens to a concrete syntax tree.
 *
 * Recovery is part of the grammar instead of an afterthought. One token decides every choice (with a few gates that
 * look at the next one), all that can be missing is optional, and every list of members ends with an alternative
 * that takes any other item: its words up to the line end and a balanced block. So the parser reads every input to
 * its end, and `build-tree` reports the holes. A list also ends where an item stands that can only belong further
 * out, which is how one missing `}` leaves the rest of the file whole.
 *
 * Rules build on each other from file to file: gates, values, members, topologies, plans, and here whole files.
 * Members of a list are labelled `item`, so they keep their order.
 */
import { PlanItemParser } from './parser-plan.js';
import * as t from './tokens.js';

const k = t.keywords;

export class PlanParser extends PlanItemParser {
  constructor(skipValidations: boolean) {
    super(skipValidations);
    this.performSelfAnalysis();
  }

  readonly file = this.RULE('file', () => {
    this.MANY(() => {
      this.ACTION(() => this.beginItem());
      this.OR([
        { ALT: () => this.CONSUME(t.Separator, { LABEL: 'separator' }) },
        { GATE: () => this.isFileItem(), ALT: () => this.SUBRULE(this.fileItem, { LABEL: 'item' }) },
        { GATE: () => this.isPlanItem(), ALT: () => this.SUBRULE(this.planItem, { LABEL: 'item' }) },
        { ALT: () => this.SUBRULE(this.unmatched, { LABEL: 'item' }) },
        { ALT: () => this.SUBRULE(this.unknown, { LABEL: 'item' }), IGNORE_AMBIGUITIES: true },
      ]);
    });
  });

  private readonly fileItem = this.RULE('fileItem', () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.languageDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.importDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.paramDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.propertiesDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.topologyDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.planDecl, { LABEL: 'item' }) },
    ]);
  });

  private readonly unmatched = this.RULE('unmatched', () => {
    this.CONSUME(t.RCurly);
  });

  private readonly languageDecl = this.RULE('languageDecl', () => {
    this.CONSUME(k.language, { LABEL: 'keyword' });
    this.OPTION(() => this.CONSUME(t.NumberToken, { LABEL: 'edition' }));
  });

  private readonly importDecl = this.RULE('importDecl', () => {
    this.CONSUME(k.import, { LABEL: 'keyword' });
    this.OPTION1(() => {
      this.CONSUME(t.LCurly);
      this.MANY({
        GATE: () => !this.isFrom() && !this.isOutside('file'),
        DEF: () =>
          this.OR([
            { ALT: () => this.CONSUME(t.Separator, { LABEL: 'separator' }) },
            { ALT: () => this.SUBRULE1(this.importName, { LABEL: 'item' }) },
            {
              ALT: () => this.SUBRULE(this.strayEntry, { LABEL: 'item' }),
              IGNORE_AMBIGUITIES: true,
            },
          ]),
      });
      this.OPTION2(() => this.CONSUME(t.RCurly));
    });
    this.OPTION3({
      GATE: () => this.LA(1).tokenType !== k.from && this.LA(0).tokenType === k.import,
      DEF: () => this.SUBRULE2(this.importName, { LABEL: 'item' }),
    });
    this.OPTION4(() => this.CONSUME(k.from));
    this.OPTION5(() => this.CONSUME(t.StringToken, { LABEL: 'source' }));
    this.OPTION6({
      GATE: () => this.LA(0).tokenType === k.from && this.isJunk(),
      DEF: () => this.SUBRULE(this.junk),
    });
  });

  private readonly importName = this.RULE('importName', () => {
    this.CONSUME1(t.Name, { LABEL: 'name' });
    this.OPTION1(() => {
      this.CONSUME(k.as);
      this.OPTION2(() => this.CONSUME2(t.Name, { LABEL: 'alias' }));
    });
  });

  private readonly paramDecl = this.RULE('paramDecl', () => {
    this.CONSUME(k.param, { LABEL: 'keyword' });
    this.OPTION1(() => this.CONSUME1(t.Name, { LABEL: 'name' }));
    this.OPTION2(() => {
      this.CONSUME(t.Colon);
      this.OPTION3(() => this.CONSUME2(t.Name, { LABEL: 'type' }));
    });
    this.OPTION4(() => {
      this.CONSUME(t.Equals);
      this.OPTION5(() => this.SUBRULE(this.expression, { LABEL: 'value' }));
    });
    this.OPTION6(() => {
      this.CONSUME(k.in);
      this.OPTION7(() => this.SUBRULE(this.list, { LABEL: 'domain' }));
    });
  });

  /** `device`, `model` and `workload`: a name and a block of properties. */
  private readonly propertiesDecl = this.RULE('propertiesDecl', () => {
    this.OR([
      { ALT: () => this.CONSUME(k.device, { LABEL: 'keyword' }) },
      { ALT: () => this.CONSUME(k.model, { LABEL: 'keyword' }) },
      { ALT: () => this.CONSUME(k.workload, { LABEL: 'keyword' }) },
    ]);
    this.OPTION1(() => this.CONSUME(t.Name, { LABEL: 'name' }));
    this.OPTION2({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION3({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.propertyBlock, { ARGS: ['file'], LABEL: 'block' }),
    });
  });
}

let parser: PlanParser | undefined;

/** The parser shared by all calls: building it costs more than parsing a file. */
export function planParser(): PlanParser {
  parser ??= new PlanParser(true);
  return parser;
}
