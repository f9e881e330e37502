/** Plans: stages, KV, flow, expectations. */
import type { CstNode } from 'chevrotain';
import { nameOrHole } from './build-context.js';
import type { Build } from './build-context.js';
import { buildComparison } from './build-comparison.js';
import {
  buildList,
  buildPath,
  expressionOrHole,
  meshOrHole,
  missingValue,
  pathOrHole,
} from './build-expression.js';
import {
  buildMembers,
  buildProperties,
  buildProperty,
  checkHead,
  checkSurplus,
  hasBlock,
  places,
} from './build-members.js';
import { documented, headEnd } from './build-topology.js';
import { after, nameOf, node, nodes, onlyNode, signsWithout, spanOfNode, token, tokens } from './cst.js';
import { spanOf } from './lex.js';
import type {
  ErrorExpr,
  ExpectDecl,
  Expectation,
  FlowDecl,
  FlowRule,
  KvDecl,
  MeshMember,
  Name,
  OverrideMember,
  PathExpr,
  PlanDecl,
  PlanMember,
  ReplicateMember,
  ShardMember,
  Span,
  SplitMember,
  StageDecl,
  StageMember,
} from './syntax.js';

/** A `planDecl` node. */
export function buildPlan(build: Build, decl: CstNode): PlanDecl {
  const span = spanOfNode(decl);
  const keyword = after(spanOf(token(decl, 'keyword')!));
  const name = nameOrHole(build, token(decl, 'name'), keyword, 'the name of the plan');
  const found = build.problems.length;
  const written = clause(build, decl, 'forClause', 'For', 'a model');
  const writtenOn = topologyOf(build, decl);
  const base = clause(build, decl, 'fromClause', 'From', 'a plan');
  checkHead(build, decl, ['for', 'on', 'from']);
  const block = node(decl, 'block');
  const head = headEnd(decl, lastOf(name.span, written?.span, writtenOn?.span, base?.span));
  // What is wrong in the head may have been to say them; a plan that is derived from another has those of that.
  const unread =
    base === undefined && isBroken(build, decl, found) ? { text: '', span: after(head) } : undefined;
  const model = written ?? unread;
  const topology = writtenOn ?? unread;
  const members = hasBlock(build, block, head) ? buildPlanBlock(build, block) : [];
  return {
    kind: 'plan',
    name,
    ...(model === undefined ? {} : { model }),
    ...(topology === undefined ? {} : { topology }),
    ...(base === undefined ? {} : { base }),
    members,
    span,
    ...documented(build, span),
  };
}

/** Whether something is wrong in the head of a declaration, where there were `found` problems before it. */
function isBroken(build: Build, decl: CstNode, found: number): boolean {
  return build.problems.length > found || node(decl, 'junk') !== undefined;
}

function lastOf(first: Span, ...others: readonly (Span | undefined)[]): Span {
  return others.reduce<Span>(
    (last, span) => (span !== undefined && span.end > last.end ? span : last),
    first,
  );
}

/** The name of a clause such as `for m`, when the clause is there; one that stands twice is reported. */
function clause(build: Build, decl: CstNode, rule: string, word: string, what: string): Name | undefined {
  const [first, second] = nodes(decl, rule);
  if (first === undefined) return undefined;
  if (second !== undefined) reportTwice(build, second);
  const keyword = token(first, word)!;
  const found = token(first, 'name');
  return nameOrHole(build, found, after(spanOf(keyword)), `${what} after \`${keyword.image}\``);
}

function reportTwice(build: Build, second: CstNode): void {
  const span = spanOfNode(second);
  build.report('FC0101', span, 'this clause stands twice');
}

function topologyOf(build: Build, decl: CstNode): Name | undefined {
  const [first, second] = nodes(decl, 'onClause');
  if (first === undefined) return undefined;
  if (second !== undefined) reportTwice(build, second);
  const hole = after(spanOf(token(first, 'On')!));
  const [found, other] = nodes(first, 'path');
  const path = pathOrHole(build, found, hole, 'a topology after `on`');
  if (path.kind === 'error') return { text: '', span: path.span };
  if (other !== undefined)
    build.report('FC0101', spanOfNode(other), 'a plan stands on one topology', {
      helps: ['write a plan for each, or one topology with the devices of both'],
    });
  const [segment] = path.segments;
  if (path.segments.length > 1 || segment!.index !== undefined) {
    build.report('FC0101', path.span, 'a plan stands on a whole topology', {
      helps: [`write \`on ${segment!.name.text}\`; stages choose devices`],
    });
  }
  return segment!.name;
}

function buildPlanBlock(build: Build, block: CstNode): readonly PlanMember[] {
  return buildMembers<PlanMember>(build, block, places.plan, (item) =>
    item.name === 'property' ? buildProperty(build, item) : buildPlanItem(build, item),
  );
}

/** A `planItem` node. */
export function buildPlanItem(build: Build, planItem: CstNode): PlanMember {
  const item = onlyNode(planItem);
  switch (item.name) {
    case 'stageDecl':
      return buildStage(build, item);
    case 'kvDecl':
      return buildKv(build, item);
    case 'flowDecl':
      return buildFlow(build, item);
    default:
      return buildExpect(build, item);
  }
}

function buildStage(build: Build, decl: CstNode): StageDecl {
  const span = spanOfNode(decl);
  const keyword = after(spanOf(token(decl, 'keyword')!));
  const name = nameOrHole(build, token(decl, 'name'), keyword, 'the name of the stage');
  const found = build.problems.length;
  const phases = node(decl, 'phases');
  const junk = node(decl, 'junk');
  // Words in the head may have been to say the phases.
  const unread = junk === undefined ? [] : [{ text: '', span: after(name.span) }];
  const phaseNames = phases === undefined ? unread : buildPhases(build, phases);
  const [onClause, secondOn] = nodes(decl, 'onClause');
  if (secondOn !== undefined) reportTwice(build, secondOn);
  const written = onClause && buildDevices(build, onClause);
  const like = clause(build, decl, 'likeClause', 'Like', 'a stage');
  checkHead(build, decl, [':', 'on', 'like']);
  const phaseSpan = phases === undefined ? undefined : spanOfNode(phases);
  const head = headEnd(decl, lastOf(name.span, phaseSpan, written?.at(-1)!.span, like?.span));
  // What is wrong in the head may have been to say the devices.
  const unreadOn = isBroken(build, decl, found) ? [{ kind: 'error' as const, span: after(head) }] : undefined;
  const on = written ?? unreadOn;
  const block = node(decl, 'block');
  const members = hasBlock(build, block, head) ? buildStageBlock(build, block) : [];
  return {
    kind: 'stage',
    name,
    phases: phaseNames,
    ...(on === undefined ? {} : { on }),
    ...(like === undefined ? {} : { like }),
    members,
    span,
    ...documented(build, span),
  };
}

/** The ranges of an `onClause` node. */
function buildDevices(build: Build, clause: CstNode): readonly (PathExpr | ErrorExpr)[] {
  const paths = nodes(clause, 'path').map((path) => buildPath(build, path));
  const starts = paths.map(({ span }) => span.start);
  const signs = [token(clause, 'On')!, ...tokens(clause, 'Comma')];
  const holes = signsWithout(signs, starts).map((sign) =>
    missingValue(
      build,
      after(spanOf(sign)),
      `devices after \`${sign.image}\`, such as \`gpu\` or \`gpu[0..3]\``,
    ),
  );
  return [...paths, ...holes].sort((a, b) => a.span.start - b.span.start);
}

function buildPhases(build: Build, phases: CstNode): readonly Name[] {
  const signs = [token(phases, 'Colon')!, ...tokens(phases, 'Plus')];
  return namesBetween(build, phases, signs, 'a phase: `prefill` or `decode`');
}

/** Names that each follow one of some signs; a sign without one is reported, and has an empty name. */
function namesBetween(
  build: Build,
  list: CstNode,
  signs: ReturnType<typeof tokens>,
  what: string,
): readonly Name[] {
  const found = tokens(list, 'name');
  const starts = found.map(({ startOffset }) => startOffset);
  const names = found.map(nameOf);
  const empty = signsWithout(signs, starts).map((sign) =>
    nameOrHole(build, undefined, after(spanOf(sign)), what),
  );
  return [...names, ...empty].sort((a, b) => a.span.start - b.span.start);
}

function buildStageBlock(build: Build, block: CstNode): readonly StageMember[] {
  return buildMembers<StageMember>(build, block, places.stage, (item) => {
    switch (item.name) {
      case 'meshMember':
        return buildMeshMember(build, item);
      case 'shardMember':
        return buildShard(build, item);
      case 'replicateMember':
        return buildReplicate(build, item);
      case 'splitMember':
        return buildSplit(build, item);
      case 'overrideMember':
        return buildOverride(build, item);
      default:
        return buildProperty(build, item);
    }
  });
}

function buildMeshMember(build: Build, member: CstNode): MeshMember {
  const span = spanOfNode(member);
  const word = token(member, 'auto');
  const parens = node(member, 'parens');
  // What is missing is said first: `mesh:` may be half typed.
  if (word !== undefined || parens !== undefined) checkSurplus(build, member);
  if (word?.image === 'auto') return { kind: 'mesh_member', mesh: 'auto', span };
  const hole = word === undefined ? after(spanOf(token(member, 'keyword')!)) : spanOf(word);
  return { kind: 'mesh_member', mesh: meshOrHole(build, parens, hole), span };
}

/** The dimensions of `shard` and `replicate`; none is reported. */
function dimsOf(build: Build, member: CstNode): readonly Name[] {
  const dims = node(member, 'dims');
  if (dims !== undefined) return tokens(dims, 'name').map(nameOf);
  const keyword = token(member, 'keyword')!;
  nameOrHole(build, undefined, after(spanOf(keyword)), `dimensions after \`${keyword.image}\``);
  return [];
}

/** The axis after `on`; without an earlier problem in the member, a missing `on` is reported. */
function axisOf(build: Build, member: CstNode, before: Span, faulty: boolean): Name {
  const on = token(member, 'On');
  if (on !== undefined) {
    return nameOrHole(build, token(member, 'axis'), after(spanOf(on)), 'a mesh axis after `on`');
  }
  if (!faulty) {
    const helps = ['name the mesh axis, such as `on tp`'];
    build.report('FC0114', after(before), 'expected `on` and a mesh axis here', { helps, expected: ['on'] });
  }
  return { text: '', span: after(before) };
}

function buildShard(build: Build, member: CstNode): ShardMember {
  checkSurplus(build, member);
  const found = build.problems.length;
  const dims = dimsOf(build, member);
  const before = dims.at(-1)?.span ?? spanOf(token(member, 'keyword')!);
  const axis = axisOf(build, member, before, build.problems.length > found);
  return { kind: 'shard', dims, axis, span: spanOfNode(member) };
}

function buildReplicate(build: Build, member: CstNode): ReplicateMember {
  checkSurplus(build, member);
  const dims = dimsOf(build, member);
  const word = token(member, 'By');
  const span = spanOfNode(member);
  if (word === undefined) return { kind: 'replicate', dims, span };
  const by = expressionOrHole(build, node(member, 'by'), after(spanOf(word)), 'a number after `by`');
  return { kind: 'replicate', dims, by, span };
}

function buildSplit(build: Build, member: CstNode): SplitMember {
  checkSurplus(build, member);
  const found = build.problems.length;
  const keyword = spanOf(token(member, 'keyword')!);
  const dim = nameOrHole(build, token(member, 'dim'), after(keyword), 'a dimension after `split`');
  const axis = axisOf(build, member, dim.span, build.problems.length > found);
  const list = node(member, 'list');
  const span = spanOfNode(member);
  if (list !== undefined) return { kind: 'split', dim, axis, sizes: buildList(build, list), span };
  const sizes: ErrorExpr =
    build.problems.length > found
      ? { kind: 'error', span: after(span) }
      : missingValue(build, after(span), 'sizes such as `[10, 30]`');
  return { kind: 'split', dim, axis, sizes, span };
}

function buildOverride(build: Build, member: CstNode): OverrideMember {
  checkSurplus(build, member);
  const span = spanOfNode(member);
  const keyword = spanOf(token(member, 'keyword')!);
  const target: PathExpr | ErrorExpr = pathOrHole(
    build,
    node(member, 'path'),
    after(keyword),
    'a part of the model, such as `layers[0..1].mlp`',
  );
  checkHead(build, member, []);
  const block = node(member, 'block');
  const members = hasBlock(build, block, headEnd(member, target.span)) ? buildStageBlock(build, block) : [];
  return { kind: 'override', target, members, span };
}

function buildKv(build: Build, decl: CstNode): KvDecl {
  checkHead(build, decl, []);
  const head = headEnd(decl, spanOf(token(decl, 'keyword')!));
  const members = buildProperties(build, node(decl, 'block'), places.kv, head);
  return { kind: 'kv', members, span: spanOfNode(decl) };
}

function buildFlow(build: Build, decl: CstNode): FlowDecl {
  checkSurplus(build, decl);
  const signs = [token(decl, 'keyword')!, ...tokens(decl, 'Arrow')];
  const names = namesBetween(build, decl, signs, 'a stage, `requests` or `results`');
  const last = names.at(-1);
  checkHead(build, decl, last?.text === 'results' ? [] : ['->']);
  // Words behind the path are the rest of it: where it ends is not known.
  const rest: Name[] =
    node(decl, 'junk') === undefined || !last ? [] : [{ text: '', span: after(last.span) }];
  const path = [...names, ...rest];
  const block = node(decl, 'block');
  const span = spanOfNode(decl);
  const head = headEnd(decl, last?.span ?? spanOf(signs[0]!));
  if (block === undefined || !hasBlock(build, block, head)) return { kind: 'flow', path, rules: [], span };
  const rules = buildMembers<FlowRule>(build, block, places.flow, (item) => buildRule(build, item));
  return { kind: 'flow', path, rules, span };
}

function buildRule(build: Build, rule: CstNode): FlowRule {
  checkSurplus(build, rule);
  const found = build.problems.length;
  const keyword = spanOf(token(rule, 'keyword')!);
  const to = nameOrHole(build, token(rule, 'name'), after(keyword), 'a stage after `to`');
  const word = token(rule, 'When');
  const condition = node(rule, 'condition');
  const hole = after(word === undefined ? to.span : spanOf(word));
  const span = spanOfNode(rule);
  if (word === undefined && build.problems.length === found) {
    build.report('FC0114', hole, 'expected `when` and a condition here', { expected: ['when'] });
  }
  if (condition !== undefined) {
    const when = buildComparison(build, rule, condition, ['<=', '>=']);
    return { kind: 'rule', to, when, span };
  }
  const faulty = build.problems.length > found;
  const when: ErrorExpr = faulty
    ? { kind: 'error', span: hole }
    : missingValue(build, hole, 'a condition after `when`');
  return { kind: 'rule', to, when, span };
}

function buildExpect(build: Build, decl: CstNode): ExpectDecl {
  checkHead(build, decl, []);
  const block = node(decl, 'block');
  const head = headEnd(decl, spanOf(token(decl, 'keyword')!));
  const items = hasBlock(build, block, head)
    ? buildMembers<Expectation>(build, block, places.expect, (item) =>
        item.name === 'neverItem' ? buildNever(build, item) : buildBound(build, item),
      )
    : [];
  return { kind: 'expect', items, span: spanOfNode(decl) };
}

function buildNever(build: Build, item: CstNode): Expectation {
  checkSurplus(build, item);
  const keyword = after(spanOf(token(item, 'keyword')!));
  const op = nameOrHole(build, token(item, 'op'), keyword, 'an operation after `never`');
  const named = (word: string, label: string, what: string): Name | undefined => {
    const sign = token(item, word);
    return sign && nameOrHole(build, token(item, label), after(spanOf(sign)), what);
  };
  const of = named('Of', 'of', 'what is moved after `of`');
  const stage = named('In', 'stage', 'a stage after `in`');
  return {
    kind: 'never',
    op,
    ...(of === undefined ? {} : { of }),
    ...(stage === undefined ? {} : { stage }),
    span: spanOfNode(item),
  };
}

function buildBound(build: Build, item: CstNode): Expectation {
  const condition = buildComparison(build, item, node(item, 'condition')!, ['<=', '==']);
  const word = token(item, 'For');
  const span = spanOfNode(item);
  if (word === undefined) return { kind: 'bound', condition, span };
  const workload = nameOrHole(build, token(item, 'workload'), after(spanOf(word)), 'a workload after `for`');
  return { kind: 'bound', condition, workload, span };
}
