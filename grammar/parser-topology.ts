/** Topologies: devices, groups, tiers, links, overhead. */
import { MemberParser } from './parser-members.js';
import * as t from './tokens.js';

const k = t.keywords;

export class TopologyParser extends MemberParser {
  protected readonly topologyDecl = this.RULE('topologyDecl', () => {
    this.CONSUME(k.topology, { LABEL: 'keyword' });
    this.OPTION1(() => this.CONSUME(t.Name, { LABEL: 'name' }));
    this.OPTION2({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION3({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.topologyBlock, { LABEL: 'block' }),
    });
  });

  protected readonly topologyBlock = this.RULE('topologyBlock', () =>
    this.block('file', [
      {
        GATE: () => this.isPlaced(),
        ALT: () => this.SUBRULE(this.placed, { LABEL: 'item' }),
        IGNORE_AMBIGUITIES: true,
      },
      { ALT: () => this.SUBRULE(this.tierDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.linkDecl, { LABEL: 'item' }) },
      { ALT: () => this.SUBRULE(this.overheadDecl, { LABEL: 'item' }) },
    ]),
  );

  /** What stands under its own name: devices (`gpu[8]: l4`), a group (`node[16] { ... }`) or a property. */
  protected readonly placed = this.RULE('placed', () => {
    this.CONSUME(t.Name, { LABEL: 'name' });
    this.OPTION1(() => this.SUBRULE(this.index));
    this.OPTION5({ GATE: () => this.isUnmarkedKind(), DEF: () => this.SUBRULE2(this.value) });
    this.OPTION2(() => {
      this.SUBRULE(this.colon);
      this.OPTION3({ GATE: () => !this.opensGroup(), DEF: () => this.SUBRULE(this.value) });
    });
    this.OPTION4({
      GATE: () => this.LA(1).tokenType === t.LCurly,
      DEF: () => this.SUBRULE(this.topologyBlock, { LABEL: 'block' }),
    });
  });

  protected readonly tierDecl = this.RULE('tierDecl', () => {
    this.CONSUME(k.tier, { LABEL: 'keyword' });
    this.OPTION9(() => this.SUBRULE(this.surplus));
    this.OPTION1(() => this.CONSUME(t.Name, { LABEL: 'name' }));
    this.OPTION2({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION3({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.propertyBlock, { ARGS: ['topology'], LABEL: 'block' }),
    });
  });

  protected readonly linkDecl = this.RULE('linkDecl', () => {
    this.CONSUME(k.link, { LABEL: 'keyword' });
    this.OPTION9(() => this.SUBRULE(this.surplus));
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

  protected readonly overheadDecl = this.RULE('overheadDecl', () => {
    this.CONSUME(k.overhead, { LABEL: 'keyword' });
    this.OPTION1({ GATE: () => this.isJunk(), DEF: () => this.SUBRULE(this.junk) });
    this.OPTION2({
      GATE: () => this.opensBlock(),
      DEF: () => this.SUBRULE(this.propertyBlock, { ARGS: ['topology'], LABEL: 'block' }),
    });
  });
}
