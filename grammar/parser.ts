/**
 * The grammar of plan files: tokens to a concrete syntax tree.
 *
 * Recovery is part of the grammar instead of an afterthought. One token decides every choice (with a few gates that
 * look at the next one), all that can be missing is optional, and every list of members ends with an alternative
 * that takes any other item: its words up to the line end and a balanced block. So the parser reads every input to
 * its end, and `build-tree` reports the holes. A list also ends where an item stands that can only belong further
 * out, which is how one missing `}` leaves the rest of the file whole.
 *
 * Rules are listed from the outside in. Members of a list are labelled `item`, so they keep their order.
 */
import { CstParser } from 'chevrotain';
import type { IToken, TokenType } from 'chevrotain';
import * as t from './tokens.js';

const k = t.keywords;

/** Which items can only belong further out: those of the file, and those of the plan or topology around. */
export type Around = 'file' | 'plan' | 'topology';

const fileItems = new Set<TokenType>([
  ...[k.language, k.import, k.param, k.device, k.topology, k.model, k.workload, k.plan],
]);
const itemsAround: Record<Around, ReadonlySet<TokenType>> = {
  file: new Set(),
  plan: new Set([k.stage, k.kv, k.flow, k.expect]),
  topology: new Set([k.tier, k.link, k.overhead]),
};
/** Items that may have no name of their own between the keyword and the block. */
const nameless = new Set<TokenType>([k.kv, k.expect, k.overhead, k.import]);

export class PlanParser extends CstParser {
  /** Column where the top-level item being read starts. */
  private fileItemColumn = 1;

  constructor(skipValidations: boolean) {
    super(t.allTokens, { maxLookahead: 1, nodeLocationTracking: 'onlyOffset', skipValidations });
    this.performSelfAnalysis();
  }

  // ---------------------------------------------------------------- file

  readonly file = this.RULE('file', () => {
    this.MANY(() => {
      this.ACTION(() => {
        this.fileItemColumn = this.LA(1).startColumn ?? 1;
      });
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

  // ---------------------------------------------------------------- topologies

  private readonly topologyDecl = this.RULE('topologyDecl', () => {
    this.CONSUME(k.topology, { LABEL: 'keyword' });
    this.OPTION1(() => this.CONSUME(t.Name, { LABEL: 'name' }));
    this.OPTION2({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION3({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.topologyBlock, { LABEL: 'block' }),
    });
  });

  private readonly topologyBlock = this.RULE('topologyBlock', () => {
    this.SUBRULE(this.open);
    this.MANY({
      GATE: () => !this.isOutside('file'),
      DEF: () =>
        this.OR([
          { ALT: () => this.CONSUME(t.Separator, { LABEL: 'separator' }) },
          {
            GATE: () => this.isPlaced(),
            ALT: () => this.SUBRULE(this.placed, { LABEL: 'item' }),
            IGNORE_AMBIGUITIES: true,
          },
          { ALT: () => this.SUBRULE(this.tierDecl, { LABEL: 'item' }) },
          { ALT: () => this.SUBRULE(this.linkDecl, { LABEL: 'item' }) },
          { ALT: () => this.SUBRULE(this.overheadDecl, { LABEL: 'item' }) },
          { ALT: () => this.SUBRULE(this.unknown, { LABEL: 'item' }), IGNORE_AMBIGUITIES: true },
        ]),
    });
    this.OPTION(() => this.CONSUME(t.RCurly));
  });

  /** What stands under its own name: devices (`gpu[8]: l4`), a group (`node[16] { ... }`) or a property. */
  private readonly placed = this.RULE('placed', () => {
    this.CONSUME(t.Name, { LABEL: 'name' });
    this.OPTION1(() => this.SUBRULE(this.index));
    this.OPTION2(() => {
      this.SUBRULE(this.colon);
      this.OPTION3(() => this.SUBRULE(this.value));
    });
    this.OPTION4({
      GATE: () => this.LA(1).tokenType === t.LCurly,
      DEF: () => this.SUBRULE(this.topologyBlock, { LABEL: 'block' }),
    });
  });

  private readonly tierDecl = this.RULE('tierDecl', () => {
    this.CONSUME(k.tier, { LABEL: 'keyword' });
    this.OPTION1(() => this.CONSUME(t.Name, { LABEL: 'name' }));
    this.OPTION2({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION3({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.propertyBlock, { ARGS: ['topology'], LABEL: 'block' }),
    });
  });

  private readonly linkDecl = this.RULE('linkDecl', () => {
    this.CONSUME(k.link, { LABEL: 'keyword' });
    this.OPTION1(() => this.SUBRULE1(this.path, { LABEL: 'from' }));
    this.OPTION2(() =>
      this.OR([
        { ALT: () => this.CONSUME(t.BothWays, { LABEL: 'sign' }) },
        { ALT: () => this.CONSUME(t.Arrow, { LABEL: 'sign' }) },
      ]),
    );
    this.OPTION3(() => this.SUBRULE2(this.path, { LABEL: 'to' }));
    this.OPTION4({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION5({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.propertyBlock, { ARGS: ['topology'], LABEL: 'block' }),
    });
  });

  private readonly overheadDecl = this.RULE('overheadDecl', () => {
    this.CONSUME(k.overhead, { LABEL: 'keyword' });
    this.OPTION1({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION2({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.propertyBlock, { ARGS: ['topology'], LABEL: 'block' }),
    });
  });

  // ---------------------------------------------------------------- plans

  private readonly planDecl = this.RULE('planDecl', () => {
    this.CONSUME(k.plan, { LABEL: 'keyword' });
    this.OPTION1({
      GATE: () => !this.isHeaderWord(k.for, k.on, k.from),
      DEF: () => this.CONSUME1(t.Name, { LABEL: 'name' }),
    });
    this.MANY(() =>
      this.OR([
        { ALT: () => this.SUBRULE(this.forClause) },
        { ALT: () => this.SUBRULE(this.onClause) },
        { ALT: () => this.SUBRULE(this.fromClause) },
      ]),
    );
    this.OPTION2({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION3({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.planBlock, { LABEL: 'block' }),
    });
  });

  private readonly forClause = this.RULE('forClause', () => {
    this.CONSUME(k.for);
    this.OPTION({
      GATE: () => !this.isHeaderWord(k.on, k.from),
      DEF: () => this.CONSUME(t.Name, { LABEL: 'name' }),
    });
  });

  private readonly onClause = this.RULE('onClause', () => {
    this.CONSUME(k.on);
    this.OPTION(() => this.SUBRULE(this.path));
  });

  private readonly fromClause = this.RULE('fromClause', () => {
    this.CONSUME(k.from);
    this.OPTION(() => this.CONSUME(t.Name, { LABEL: 'name' }));
  });

  private readonly planBlock = this.RULE('planBlock', () => {
    this.SUBRULE(this.open);
    this.MANY({
      GATE: () => !this.isOutside('file'),
      DEF: () =>
        this.OR([
          { ALT: () => this.CONSUME(t.Separator, { LABEL: 'separator' }) },
          {
            GATE: () => this.isProperty(),
            ALT: () => this.SUBRULE(this.property, { LABEL: 'item' }),
            IGNORE_AMBIGUITIES: true,
          },
          { ALT: () => this.SUBRULE(this.planItem, { LABEL: 'item' }) },
          { ALT: () => this.SUBRULE(this.unknown, { LABEL: 'item' }), IGNORE_AMBIGUITIES: true },
        ]),
    });
    this.OPTION(() => this.CONSUME(t.RCurly));
  });

  private readonly planItem = this.RULE('planItem', () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.stageDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.kvDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.flowDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.expectDecl, { LABEL: 'item' }) },
    ]);
  });

  private readonly stageDecl = this.RULE('stageDecl', () => {
    this.CONSUME(k.stage, { LABEL: 'keyword' });
    this.OPTION1({
      GATE: () => !this.isHeaderWord(k.on, k.like),
      DEF: () => this.CONSUME(t.Name, { LABEL: 'name' }),
    });
    this.OPTION2(() => this.SUBRULE(this.phases));
    this.MANY(() =>
      this.OR([{ ALT: () => this.SUBRULE(this.onClause) }, { ALT: () => this.SUBRULE(this.likeClause) }]),
    );
    this.OPTION3({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION4({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.stageBlock, { LABEL: 'block' }),
    });
  });

  private readonly phases = this.RULE('phases', () => {
    this.CONSUME(t.Colon);
    this.OPTION({
      GATE: () => !this.isHeaderWord(k.on, k.like),
      DEF: () => this.CONSUME1(t.Name, { LABEL: 'name' }),
    });
    this.MANY(() => {
      this.CONSUME(t.Plus);
      this.OPTION2({
        GATE: () => !this.isHeaderWord(k.on, k.like),
        DEF: () => this.CONSUME2(t.Name, { LABEL: 'name' }),
      });
    });
  });

  private readonly likeClause = this.RULE('likeClause', () => {
    this.CONSUME(k.like);
    this.OPTION(() => this.CONSUME(t.Name, { LABEL: 'name' }));
  });

  private readonly stageBlock = this.RULE('stageBlock', () => {
    this.SUBRULE(this.open);
    this.MANY({
      GATE: () => !this.isOutside('plan'),
      DEF: () =>
        this.OR([
          { ALT: () => this.CONSUME(t.Separator, { LABEL: 'separator' }) },
          {
            GATE: () => this.isProperty(),
            ALT: () => this.SUBRULE(this.property, { LABEL: 'item' }),
            IGNORE_AMBIGUITIES: true,
          },
          { ALT: () => this.SUBRULE(this.meshMember, { LABEL: 'item' }) },
          { ALT: () => this.SUBRULE(this.shardMember, { LABEL: 'item' }) },
          { ALT: () => this.SUBRULE(this.replicateMember, { LABEL: 'item' }) },
          { ALT: () => this.SUBRULE(this.splitMember, { LABEL: 'item' }) },
          { ALT: () => this.SUBRULE(this.overrideMember, { LABEL: 'item' }) },
          { ALT: () => this.SUBRULE(this.unknown, { LABEL: 'item' }), IGNORE_AMBIGUITIES: true },
        ]),
    });
    this.OPTION(() => this.CONSUME(t.RCurly));
  });

  private readonly meshMember = this.RULE('meshMember', () => {
    this.CONSUME(k.mesh, { LABEL: 'keyword' });
    this.OPTION(() =>
      this.OR([
        { ALT: () => this.SUBRULE(this.parens) },
        { ALT: () => this.CONSUME(t.Name, { LABEL: 'auto' }) },
      ]),
    );
  });

  private readonly dims = this.RULE('dims', () => {
    this.CONSUME1(t.Name, { LABEL: 'name' });
    this.MANY({
      GATE: () => this.isNextDim(),
      DEF: () => {
        this.CONSUME(t.Comma);
        this.CONSUME2(t.Name, { LABEL: 'name' });
      },
    });
  });

  private readonly shardMember = this.RULE('shardMember', () => {
    this.CONSUME(k.shard, { LABEL: 'keyword' });
    this.OPTION1({ GATE: () => !this.isHeaderWord(k.on), DEF: () => this.SUBRULE(this.dims) });
    this.OPTION2(() => {
      this.CONSUME(k.on);
      this.OPTION3(() => this.CONSUME(t.Name, { LABEL: 'axis' }));
    });
  });

  private readonly replicateMember = this.RULE('replicateMember', () => {
    this.CONSUME(k.replicate, { LABEL: 'keyword' });
    this.OPTION1(() => this.SUBRULE(this.dims));
    this.OPTION2(() => {
      this.CONSUME(k.by);
      this.OPTION3(() => this.SUBRULE(this.expression, { LABEL: 'by' }));
    });
  });

  private readonly splitMember = this.RULE('splitMember', () => {
    this.CONSUME(k.split, { LABEL: 'keyword' });
    this.OPTION1({
      GATE: () => !this.isHeaderWord(k.on),
      DEF: () => this.CONSUME1(t.Name, { LABEL: 'dim' }),
    });
    this.OPTION2(() => {
      this.CONSUME(k.on);
      this.OPTION3(() => this.CONSUME2(t.Name, { LABEL: 'axis' }));
    });
    this.OPTION4(() => this.SUBRULE(this.list));
  });

  private readonly overrideMember = this.RULE('overrideMember', () => {
    this.CONSUME(k.override, { LABEL: 'keyword' });
    this.OPTION1(() => this.SUBRULE(this.path));
    this.OPTION2({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION3({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.stageBlock, { LABEL: 'block' }),
    });
  });

  private readonly kvDecl = this.RULE('kvDecl', () => {
    this.CONSUME(k.kv, { LABEL: 'keyword' });
    this.OPTION1({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION2({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.propertyBlock, { ARGS: ['plan'], LABEL: 'block' }),
    });
  });

  private readonly flowDecl = this.RULE('flowDecl', () => {
    this.CONSUME(k.flow, { LABEL: 'keyword' });
    this.OPTION1(() => this.CONSUME1(t.Name, { LABEL: 'name' }));
    this.MANY(() => {
      this.CONSUME(t.Arrow);
      this.OPTION2(() => this.CONSUME2(t.Name, { LABEL: 'name' }));
    });
    this.OPTION3({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION4({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.flowBlock, { LABEL: 'block' }),
    });
  });

  private readonly flowBlock = this.RULE('flowBlock', () => {
    this.SUBRULE(this.open);
    this.MANY({
      GATE: () => !this.isOutside('plan'),
      DEF: () =>
        this.OR([
          { ALT: () => this.CONSUME(t.Separator, { LABEL: 'separator' }) },
          { ALT: () => this.SUBRULE(this.flowRule, { LABEL: 'item' }) },
          { ALT: () => this.SUBRULE(this.unknown, { LABEL: 'item' }), IGNORE_AMBIGUITIES: true },
        ]),
    });
    this.OPTION(() => this.CONSUME(t.RCurly));
  });

  private readonly flowRule = this.RULE('flowRule', () => {
    this.CONSUME(k.to, { LABEL: 'keyword' });
    this.OPTION1({
      GATE: () => !this.isHeaderWord(k.when),
      DEF: () => this.CONSUME(t.Name, { LABEL: 'name' }),
    });
    this.OPTION2(() => this.CONSUME(k.when));
    this.OPTION3(() => this.SUBRULE(this.expression, { LABEL: 'condition' }));
  });

  private readonly expectDecl = this.RULE('expectDecl', () => {
    this.CONSUME(k.expect, { LABEL: 'keyword' });
    this.OPTION1({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION2({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.expectBlock, { LABEL: 'block' }),
    });
  });

  private readonly expectBlock = this.RULE('expectBlock', () => {
    this.SUBRULE(this.open);
    this.MANY({
      GATE: () => !this.isOutside('plan'),
      DEF: () =>
        this.OR([
          { ALT: () => this.CONSUME(t.Separator, { LABEL: 'separator' }) },
          {
            GATE: () => this.isNever(),
            ALT: () => this.SUBRULE(this.neverItem, { LABEL: 'item' }),
          },
          {
            GATE: () => !this.isPhrase(),
            ALT: () => this.SUBRULE(this.boundItem, { LABEL: 'item' }),
            IGNORE_AMBIGUITIES: true,
          },
          { ALT: () => this.SUBRULE(this.unknown, { LABEL: 'item' }), IGNORE_AMBIGUITIES: true },
        ]),
    });
    this.OPTION(() => this.CONSUME(t.RCurly));
  });

  private readonly neverItem = this.RULE('neverItem', () => {
    this.CONSUME(k.never, { LABEL: 'keyword' });
    this.OPTION1(() => this.CONSUME1(t.Name, { LABEL: 'op' }));
    this.OPTION2(() => {
      this.CONSUME(k.of);
      this.OPTION3(() => this.CONSUME2(t.Name, { LABEL: 'of' }));
    });
    this.OPTION4(() => {
      this.CONSUME(k.in);
      this.OPTION5(() => this.CONSUME3(t.Name, { LABEL: 'stage' }));
    });
  });

  private readonly boundItem = this.RULE('boundItem', () => {
    this.SUBRULE(this.expression, { LABEL: 'condition' });
    this.OPTION1(() => {
      this.CONSUME(k.for);
      this.OPTION2(() => this.CONSUME(t.Name, { LABEL: 'workload' }));
    });
  });

  // ---------------------------------------------------------------- members every block knows

  private readonly propertyBlock = this.RULE('propertyBlock', (around: Around = 'file') => {
    this.SUBRULE(this.open);
    this.MANY({
      GATE: () => !this.isOutside(around),
      DEF: () =>
        this.OR([
          { ALT: () => this.CONSUME(t.Separator, { LABEL: 'separator' }) },
          {
            GATE: () => this.isProperty(),
            ALT: () => this.SUBRULE(this.property, { LABEL: 'item' }),
            IGNORE_AMBIGUITIES: true,
          },
          { ALT: () => this.SUBRULE(this.unknown, { LABEL: 'item' }), IGNORE_AMBIGUITIES: true },
        ]),
    });
    this.OPTION(() => this.CONSUME(t.RCurly));
  });

  /** Start of a block. A line end stands in for a forgotten `{`; callers have checked `opensBlock`. */
  private readonly open = this.RULE('open', () => {
    this.OR([{ ALT: () => this.CONSUME(t.LCurly) }, { ALT: () => this.CONSUME(t.NewLine) }]);
  });

  private readonly property = this.RULE('property', () => {
    this.CONSUME(t.Name, { LABEL: 'name' });
    this.OPTION1(() => this.SUBRULE(this.colon));
    this.OPTION2(() => this.SUBRULE(this.value));
  });

  /** `=` is read like `:` and reported. */
  private readonly colon = this.RULE('colon', () => {
    this.OR([{ ALT: () => this.CONSUME(t.Colon) }, { ALT: () => this.CONSUME(t.Equals) }]);
  });

  /** Any other item: its words up to the line end, and a balanced block. */
  private readonly unknown = this.RULE('unknown', () => {
    this.OR([
      {
        ALT: () => {
          this.CONSUME(t.Other, { LABEL: 'token' });
          this.OPTION1({ GATE: () => this.isTail(), DEF: () => this.SUBRULE(this.tail) });
          this.OPTION2(() => this.SUBRULE1(this.balanced));
        },
      },
      { ALT: () => this.SUBRULE2(this.balanced) },
    ]);
  });

  private readonly tail = this.RULE('tail', () => {
    let depth = 0;
    this.AT_LEAST_ONE({
      GATE: () => depth > 0 || this.isTail(),
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
  });

  private readonly balanced = this.RULE('balanced', () => {
    this.CONSUME(t.LCurly);
    this.MANY({
      GATE: () => !this.isOutside('file'),
      DEF: () =>
        this.OR([
          { ALT: () => this.SUBRULE(this.balanced) },
          { ALT: () => this.CONSUME(t.Other) },
          { ALT: () => this.CONSUME(t.Separator) },
        ]),
    });
    this.OPTION(() => this.CONSUME(t.RCurly));
  });

  /** Words in the head of an item that belong to none of its clauses. */
  private readonly junk = this.RULE('junk', () => {
    this.AT_LEAST_ONE({
      GATE: () => this.isJunk(),
      DEF: () => this.CONSUME(t.Other, { LABEL: 'token' }),
    });
  });

  // ---------------------------------------------------------------- values

  /** An expression, or a chain of places. */
  private readonly value = this.RULE('value', () => {
    this.SUBRULE1(this.link);
    this.MANY(() => {
      this.CONSUME(t.Arrow);
      this.OPTION(() => this.SUBRULE2(this.link));
    });
  });

  private readonly link = this.RULE('link', () => {
    this.SUBRULE1(this.expression, { LABEL: 'target' });
    this.OPTION1({
      GATE: () => this.LA(2).tokenType === k.to,
      DEF: () => {
        this.CONSUME(k.up);
        this.CONSUME(k.to);
        this.OPTION2(() => this.SUBRULE2(this.expression, { LABEL: 'cap' }));
      },
    });
  });

  /** Operands and operators in order; `build-expression` knows what binds tighter. */
  private readonly expression = this.RULE('expression', () => {
    this.SUBRULE1(this.term);
    this.MANY(() => {
      this.CONSUME(t.Infix, { LABEL: 'operator' });
      this.OPTION(() => this.SUBRULE2(this.term));
    });
  });

  private readonly term = this.RULE('term', () => {
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

  private readonly prefix = this.RULE('prefix', () => {
    this.OR([{ ALT: () => this.CONSUME(t.Minus) }, { ALT: () => this.CONSUME(k.not) }]);
  });

  private readonly atom = this.RULE('atom', () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.quantity) },
      { ALT: () => this.CONSUME(t.StringToken, { LABEL: 'string' }) },
      { ALT: () => this.SUBRULE(this.reference) },
      { ALT: () => this.SUBRULE(this.list) },
      { ALT: () => this.SUBRULE(this.record) },
      { ALT: () => this.SUBRULE(this.parens) },
    ]);
  });

  private readonly quantity = this.RULE('quantity', () => {
    this.CONSUME(t.NumberToken, { LABEL: 'number' });
    this.OPTION(() => this.CONSUME(t.Unit, { LABEL: 'unit' }));
  });

  private readonly reference = this.RULE('reference', () => {
    this.SUBRULE(this.path);
    this.OPTION(() => this.SUBRULE(this.args));
  });

  private readonly path = this.RULE('path', () => {
    this.SUBRULE1(this.segment);
    this.MANY(() => {
      this.CONSUME(t.Dot);
      this.OPTION(() => this.SUBRULE2(this.segment));
    });
  });

  private readonly segment = this.RULE('segment', () => {
    this.CONSUME(t.Name, { LABEL: 'name' });
    this.OPTION(() => this.SUBRULE(this.index));
  });

  private readonly index = this.RULE('index', () => {
    this.CONSUME(t.LSquare);
    this.OPTION1(() => this.SUBRULE1(this.expression, { LABEL: 'first' }));
    this.OPTION2(() => {
      this.CONSUME(t.Range);
      this.OPTION3(() => this.SUBRULE2(this.expression, { LABEL: 'last' }));
    });
    this.OPTION4(() => this.CONSUME(t.RSquare));
  });

  private readonly args = this.RULE('args', () => {
    this.CONSUME(t.LParen);
    this.MANY(() =>
      this.OR([
        { ALT: () => this.CONSUME(t.Comma, { LABEL: 'separator' }) },
        { ALT: () => this.SUBRULE(this.arg, { LABEL: 'item' }) },
      ]),
    );
    this.OPTION(() => this.CONSUME(t.RParen));
  });

  private readonly arg = this.RULE('arg', () => {
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

  private readonly list = this.RULE('list', () => {
    this.CONSUME(t.LSquare);
    this.MANY(() =>
      this.OR([
        { ALT: () => this.CONSUME(t.Comma, { LABEL: 'separator' }) },
        { ALT: () => this.SUBRULE(this.value, { LABEL: 'item' }) },
      ]),
    );
    this.OPTION(() => this.CONSUME(t.RSquare));
  });

  private readonly record = this.RULE('record', () => {
    this.CONSUME(t.LCurly);
    this.MANY({
      GATE: () => !this.isOutside('file'),
      DEF: () =>
        this.OR([
          { ALT: () => this.CONSUME(t.Separator, { LABEL: 'separator' }) },
          { ALT: () => this.SUBRULE(this.recordEntry, { LABEL: 'item' }) },
        ]),
    });
    this.OPTION(() => this.CONSUME(t.RCurly));
  });

  private readonly recordEntry = this.RULE('recordEntry', () => {
    this.OR([
      { ALT: () => this.CONSUME(t.Name, { LABEL: 'name' }) },
      { ALT: () => this.CONSUME(t.NumberToken, { LABEL: 'name' }) },
    ]);
    this.OPTION1(() => this.SUBRULE(this.colon));
    this.OPTION2(() => this.SUBRULE(this.value));
  });

  /** A mesh when its first name is followed by a colon or a size, else an expression in parentheses. */
  private readonly parens = this.RULE('parens', () => {
    this.CONSUME(t.LParen);
    this.OPTION1(() =>
      this.OR([
        { GATE: () => this.isProperty(), ALT: () => this.SUBRULE(this.meshEntries) },
        { ALT: () => this.SUBRULE(this.value), IGNORE_AMBIGUITIES: true },
      ]),
    );
    this.OPTION2(() => this.CONSUME(t.RParen));
  });

  private readonly meshEntries = this.RULE('meshEntries', () => {
    this.SUBRULE1(this.meshEntry, { LABEL: 'item' });
    this.MANY(() =>
      this.OR([
        { ALT: () => this.CONSUME(t.Comma, { LABEL: 'separator' }) },
        { ALT: () => this.SUBRULE2(this.meshEntry, { LABEL: 'item' }) },
      ]),
    );
  });

  private readonly meshEntry = this.RULE('meshEntry', () => {
    this.CONSUME(t.Name, { LABEL: 'name' });
    this.OPTION1(() => this.SUBRULE(this.colon));
    this.OPTION2(() => this.SUBRULE(this.expression, { LABEL: 'size' }));
  });

  // ---------------------------------------------------------------- gates

  private isFileItem(): boolean {
    const word = this.LA(1).tokenType;
    return fileItems.has(word) && (word === k.param || this.LA(2).tokenType !== t.Colon);
  }

  /** An item of a plan that stands outside one, because a `}` too many has closed the plan. */
  private isPlanItem(): boolean {
    return itemsAround.plan.has(this.LA(1).tokenType) && this.isItemHead();
  }

  private isProperty(): boolean {
    const after = this.LA(2).tokenType;
    const colon = after === t.Colon || after === t.Equals;
    return t.isName(this.LA(1)) && (colon || after === t.NumberToken || after === t.StringToken);
  }

  private isPlaced(): boolean {
    const word = this.LA(1).tokenType;
    const after = this.LA(2).tokenType;
    if (after === t.LCurly) return word !== k.overhead && word !== k.tier && word !== k.link;
    return after === t.Colon || after === t.LSquare || after === t.Equals;
  }

  /** A keyword followed by what its item goes on with, so that it is no property or path of that name. */
  private isItemHead(): boolean {
    const word = this.LA(1).tokenType;
    const after = this.LA(2);
    if (word === k.language) return after.tokenType === t.NumberToken;
    if (nameless.has(word)) return after.tokenType === t.LCurly;
    return t.isName(after);
  }

  /**
   * Whether the next item can only belong further out. File items count when they stand no deeper than the file
   * item being read, so that one written inside a block by mistake is one unknown item.
   */
  private isOutside(around: Around): boolean {
    const next = this.LA(1);
    const isFileItem = fileItems.has(next.tokenType);
    if (!isFileItem && !itemsAround[around].has(next.tokenType)) return false;
    if (!this.isItemHead() || !this.startsLine()) return false;
    return !isFileItem || next.startColumn! <= this.fileItemColumn;
  }

  private startsLine(): boolean {
    return this.LA(1).startLine !== this.LA(0).endLine || this.LA(0).tokenType === t.NewLine;
  }

  private isFrom(): boolean {
    return this.LA(1).tokenType === k.from && this.LA(2).tokenType === t.StringToken;
  }

  /** Whether one of these words begins its clause here; before another of them it is a user's name. */
  private isHeaderWord(...words: readonly TokenType[]): boolean {
    const after = this.LA(2);
    return words.includes(this.LA(1).tokenType) && t.isName(after) && !words.includes(after.tokenType);
  }

  private isNextDim(): boolean {
    const after = this.LA(3).tokenType;
    const ends = after === t.Comma || after === t.NewLine || after === t.RCurly;
    return t.isName(this.LA(2)) && (ends || after === k.on || after === k.by);
  }

  private isNever(): boolean {
    const after = this.LA(2);
    return t.isName(after) || after.tokenType === t.NewLine || after.tokenType === t.RCurly;
  }

  /** Two names in a row, as in a mistyped `never all_gather`. */
  private isPhrase(): boolean {
    const [first, second] = [this.LA(1), this.LA(2)];
    if (!t.isName(first) || first.tokenType === k.not || !t.isName(second)) return false;
    return second.tokenType !== k.and && second.tokenType !== k.or && second.tokenType !== k.for;
  }

  private isPrefix(): boolean {
    const type = this.LA(1).tokenType;
    if (type === t.Minus) return true;
    const after = this.LA(2);
    const operand = [t.LParen, t.NumberToken, t.Minus].includes(after.tokenType) || t.isName(after);
    return type === k.not && operand && ![k.and, k.or, k.for, k.in, k.up].includes(after.tokenType);
  }

  private isJunk(): boolean {
    const type = this.LA(1).tokenType;
    if (this.isPlanItem()) return false;
    return ![t.LCurly, t.RCurly, t.NewLine, t.Comma].includes(type) && this.LA(1).image !== '';
  }

  private isTail(): boolean {
    const type = this.LA(1).tokenType;
    // After a comma a property or another item begins; otherwise the comma is inside this one.
    if (type === t.Comma) return t.isName(this.LA(2)) && this.LA(3).tokenType !== t.Colon;
    return this.isJunk();
  }

  /** A `{` follows, or deeper-indented lines do and only the `{` was forgotten. */
  private opensBlock(): boolean {
    const next = this.LA(1);
    if (next.tokenType === t.LCurly) return true;
    if (next.tokenType !== t.NewLine) return false;
    return t.isName(this.LA(2)) && this.LA(2).startColumn! > this.lineColumn();
  }

  /** Column where the line of the last token starts. */
  private lineColumn(): number {
    const { startLine } = this.LA(0);
    let back = 0;
    while (this.LA(back - 1).startLine === startLine) back--;
    return this.LA(back).startColumn!;
  }
}

function depthChange(token: IToken): number {
  if (token.tokenType === t.LParen || token.tokenType === t.LSquare) return 1;
  return token.tokenType === t.RParen || token.tokenType === t.RSquare ? -1 : 0;
}

let parser: PlanParser | undefined;

/** The parser shared by all calls: building it costs more than parsing a file. */
export function planParser(): PlanParser {
  parser ??= new PlanParser(true);
  return parser;
}
