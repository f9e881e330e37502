/** Plans: stages, KV, flow, expectations. */
import { TopologyParser } from './parser-topology.js';
import * as t from './tokens.js';

const k = t.keywords;

export class PlanItemParser extends TopologyParser {
  protected readonly planDecl = this.RULE('planDecl', () => {
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

  protected readonly forClause = this.RULE('forClause', () => {
    this.CONSUME(k.for);
    this.OPTION({
      GATE: () => !this.isHeaderWord(k.on, k.from),
      DEF: () => this.CONSUME(t.Name, { LABEL: 'name' }),
    });
  });

  protected readonly onClause = this.RULE('onClause', () => {
    this.CONSUME(k.on);
    this.OPTION1(() => this.SUBRULE1(this.path));
    this.MANY({
      GATE: () => this.isNextPath(),
      DEF: () => {
        this.CONSUME(t.Comma);
        this.OPTION2(() => this.SUBRULE2(this.path));
      },
    });
  });

  protected readonly fromClause = this.RULE('fromClause', () => {
    this.CONSUME(k.from);
    this.OPTION(() => this.CONSUME(t.Name, { LABEL: 'name' }));
  });

  protected readonly planBlock = this.RULE('planBlock', () =>
    this.block(
      'file',
      [
        this.propertyItem(k.stage, k.kv, k.flow, k.expect),
        { ALT: () => this.SUBRULE(this.planItem, { LABEL: 'item' }) },
      ],
      'plan',
    ),
  );

  protected readonly planItem = this.RULE('planItem', () => {
    this.OR([
      { ALT: () => this.SUBRULE(this.stageDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.kvDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.flowDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.expectDecl, { LABEL: 'item' }) },
    ]);
  });

  protected readonly stageDecl = this.RULE('stageDecl', () => {
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

  protected readonly phases = this.RULE('phases', () => {
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

  protected readonly likeClause = this.RULE('likeClause', () => {
    this.CONSUME(k.like);
    this.OPTION(() => this.CONSUME(t.Name, { LABEL: 'name' }));
  });

  protected readonly stageBlock = this.RULE('stageBlock', () =>
    this.block('plan', [
      this.propertyItem(k.mesh, k.shard, k.replicate, k.split, k.override),
      { ALT: () => this.SUBRULE(this.meshMember, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.shardMember, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.replicateMember, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.splitMember, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.overrideMember, { LABEL: 'item' }) },
    ]),
  );

  protected readonly meshMember = this.RULE('meshMember', () => {
    this.CONSUME(k.mesh, { LABEL: 'keyword' });
    this.OPTION9(() => this.SUBRULE(this.surplus));
    this.OPTION(() =>
      this.OR([
        { ALT: () => this.SUBRULE(this.parens) },
        { ALT: () => this.CONSUME(t.Name, { LABEL: 'auto' }) },
      ]),
    );
  });

  protected readonly dims = this.RULE('dims', () => {
    this.CONSUME1(t.Name, { LABEL: 'name' });
    this.MANY({
      GATE: () => this.isNextDim(),
      DEF: () => {
        this.CONSUME(t.Comma);
        this.CONSUME2(t.Name, { LABEL: 'name' });
      },
    });
  });

  protected readonly shardMember = this.RULE('shardMember', () => {
    this.CONSUME(k.shard, { LABEL: 'keyword' });
    this.OPTION9(() => this.SUBRULE(this.surplus));
    this.OPTION1({ GATE: () => !this.isHeaderWord(k.on), DEF: () => this.SUBRULE(this.dims) });
    this.OPTION2(() => {
      this.CONSUME(k.on);
      this.OPTION3(() => this.CONSUME(t.Name, { LABEL: 'axis' }));
    });
  });

  protected readonly replicateMember = this.RULE('replicateMember', () => {
    this.CONSUME(k.replicate, { LABEL: 'keyword' });
    this.OPTION9(() => this.SUBRULE(this.surplus));
    this.OPTION1(() => this.SUBRULE(this.dims));
    this.OPTION2(() => {
      this.CONSUME(k.by);
      this.OPTION3(() => this.SUBRULE(this.expression, { LABEL: 'by' }));
    });
  });

  protected readonly splitMember = this.RULE('splitMember', () => {
    this.CONSUME(k.split, { LABEL: 'keyword' });
    this.OPTION9(() => this.SUBRULE(this.surplus));
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

  protected readonly overrideMember = this.RULE('overrideMember', () => {
    this.CONSUME(k.override, { LABEL: 'keyword' });
    this.OPTION9(() => this.SUBRULE(this.surplus));
    this.OPTION1(() => this.SUBRULE(this.path));
    this.OPTION2({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION3({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.stageBlock, { LABEL: 'block' }),
    });
  });

  protected readonly kvDecl = this.RULE('kvDecl', () => {
    this.CONSUME(k.kv, { LABEL: 'keyword' });
    this.OPTION1({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION2({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.propertyBlock, { ARGS: ['plan'], LABEL: 'block' }),
    });
  });

  protected readonly flowDecl = this.RULE('flowDecl', () => {
    this.CONSUME(k.flow, { LABEL: 'keyword' });
    this.OPTION9(() => this.SUBRULE(this.surplus));
    this.OPTION1(() => this.CONSUME1(t.Name, { LABEL: 'name' }));
    this.MANY(() => {
      this.CONSUME(t.Arrow);
      this.OPTION2(() => this.CONSUME2(t.Name, { LABEL: 'name' }));
    });
    this.OPTION3({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION4({
      GATE: () => this.opensBlock(k.to),
      DEF: () => this.SUBRULE(this.flowBlock, { LABEL: 'block' }),
    });
  });

  protected readonly flowBlock = this.RULE('flowBlock', () =>
    this.block('plan', [{ ALT: () => this.SUBRULE(this.flowRule, { LABEL: 'item' }) }]),
  );

  protected readonly flowRule = this.RULE('flowRule', () => {
    this.CONSUME(k.to, { LABEL: 'keyword' });
    this.OPTION9(() => this.SUBRULE(this.surplus));
    this.OPTION1({
      GATE: () => !this.isHeaderWord(k.when),
      DEF: () => this.CONSUME(t.Name, { LABEL: 'name' }),
    });
    this.OPTION2(() => this.CONSUME(k.when));
    this.OPTION3(() => this.SUBRULE(this.expression, { LABEL: 'condition' }));
    this.OPTION8({ GATE: () => this.isMiscompared(), DEF: () => this.SUBRULE(this.miscompared) });
  });

  /** The rest of a comparison whose sign is wrong or missing. */
  protected readonly miscompared = this.RULE('miscompared', () => {
    this.MANY({ GATE: () => this.isSign(), DEF: () => this.CONSUME(t.Other, { LABEL: 'sign' }) });
    this.OPTION(() => this.SUBRULE(this.expression));
  });

  protected readonly expectDecl = this.RULE('expectDecl', () => {
    this.CONSUME(k.expect, { LABEL: 'keyword' });
    this.OPTION1({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION2({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.expectBlock, { LABEL: 'block' }),
    });
  });

  protected readonly expectBlock = this.RULE('expectBlock', () =>
    this.block('plan', [
      {
        GATE: () => this.isNever(),
        ALT: () => this.SUBRULE(this.neverItem, { LABEL: 'item' }),
      },
      {
        GATE: () => !this.isPhrase(),
        ALT: () => this.SUBRULE(this.boundItem, { LABEL: 'item' }),
        IGNORE_AMBIGUITIES: true,
      },
    ]),
  );

  protected readonly neverItem = this.RULE('neverItem', () => {
    this.CONSUME(k.never, { LABEL: 'keyword' });
    this.OPTION9(() => this.SUBRULE(this.surplus));
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

  protected readonly boundItem = this.RULE('boundItem', () => {
    this.SUBRULE(this.expression, { LABEL: 'condition' });
    this.OPTION8({ GATE: () => this.isMiscompared(), DEF: () => this.SUBRULE(this.miscompared) });
    this.OPTION1(() => {
      this.CONSUME(k.for);
      this.OPTION2(() => this.CONSUME(t.Name, { LABEL: 'workload' }));
    });
  });
}
