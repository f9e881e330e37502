/**
 * Every name of a file that stands for something declared: where it is, what kind of thing it may mean, and where to
 * look that up. Nothing is looked up here, so that the names of a file depend on its text alone.
 */
import { membersOf, type AnyItem } from '../../grammar/items.js';
import type {
  BinaryExpr,
  Expr,
  Name,
  PathExpr,
  PathSegment,
  PlanDecl,
  PlanMember,
  SourceFile,
  Span,
  StageDecl,
  TopologyDecl,
  TopologyMember,
} from '../../grammar/syntax.js';

/** What the items of a file can declare. */
export type GlobalKind = 'device' | 'topology' | 'model' | 'workload' | 'plan' | 'param';

/** Where a name is looked up. */
export type NameSpace =
  /** The file and its imports. `kind` is what the place needs. */
  | { readonly in: 'file'; readonly kind?: GlobalKind }
  /** Another file, named by an import. */
  | { readonly in: 'module'; readonly module: string }
  /** The stages of a plan and of the plans that it is derived from. */
  | { readonly in: 'stages'; readonly plan: PlanDecl }
  /**
   * The topology of a plan; `outer` are the segments of the path before this one. A chain and what a rule watches mean
   * the tiers or devices of that name in `all` groups, each those beside it.
   */
  | {
      readonly in: 'places of plan';
      readonly plan: PlanDecl;
      readonly outer: readonly string[];
      readonly all?: true;
    }
  /** A block of a topology, then the blocks around it. */
  | {
      readonly in: 'places';
      readonly topology: TopologyDecl;
      readonly within: readonly string[];
      readonly outer: readonly string[];
    };

export interface NameUse {
  readonly span: Span;
  readonly text: string;
  /** Whether the thing is declared here, or only spoken of. */
  readonly declares: boolean;
  readonly space: NameSpace;
}

/** All name uses, in no particular order. */
export function namesIn(file: SourceFile): readonly NameUse[] {
  const found: NameUse[] = [];
  const add = (name: Name | undefined, space: NameSpace, declares = false): void => {
    if (name !== undefined && name.text !== '')
      found.push({ span: name.span, text: name.text, declares, space });
  };
  const visitor: Visitor = {
    add,
    expression: (expr) => visitExpression(expr, visitor, { in: 'file', kind: 'param' }),
  };
  for (const item of file.items) {
    switch (item.kind) {
      case 'import':
        if (item.from.kind === 'error') break;
        for (const { name, alias } of item.names) {
          add(name, { in: 'module', module: item.from.value });
          add(alias, { in: 'file' });
        }
        break;
      case 'param':
        add(item.name, { in: 'file', kind: 'param' }, true);
        visitor.expression(item.value);
        break;
      case 'device':
      case 'model':
      case 'workload':
        add(item.name, { in: 'file', kind: item.kind }, true);
        visitProperties(item, visitor);
        break;
      case 'topology':
        add(item.name, { in: 'file', kind: 'topology' }, true);
        visitPlaces(item, item.members, [], visitor);
        break;
      case 'plan':
        visitPlan(item, visitor);
        break;
    }
  }
  return found;
}

interface Visitor {
  readonly add: (name: Name | undefined, space: NameSpace, declares?: boolean) => void;
  /** Names of params in an expression. */
  readonly expression: (expr: Expr) => void;
}

function visitProperties(item: AnyItem, { expression }: Visitor): void {
  for (const member of membersOf(item)) if (member.kind === 'property') expression(member.value);
}

function visitPlaces(
  topology: TopologyDecl,
  members: readonly TopologyMember[],
  within: readonly string[],
  visitor: Visitor,
): void {
  const { add, expression } = visitor;
  const place = (outer: readonly string[]): NameSpace => ({ in: 'places', topology, within, outer });
  for (const member of members) {
    switch (member.kind) {
      case 'devices':
        add(member.name, place([]), true);
        if (member.count) expression(member.count);
        if (member.device.kind === 'path') add(soleName(member.device), { in: 'file', kind: 'device' });
        break;
      case 'group':
        add(member.name, place([]), true);
        if (member.count) expression(member.count);
        visitPlaces(topology, member.members, [...within, member.name.text], visitor);
        break;
      case 'tier':
        add(member.name, place([]), true);
        visitProperties(member, visitor);
        break;
      case 'link':
        for (const end of [member.from, member.to]) if (end.kind === 'path') visitPath(end, visitor, place);
        visitProperties(member, visitor);
        break;
      case 'overhead':
        visitProperties(member, visitor);
        break;
      case 'property':
        expression(member.value);
        break;
    }
  }
}

function visitPlan(plan: PlanDecl, visitor: Visitor): void {
  const { add } = visitor;
  add(plan.name, { in: 'file', kind: 'plan' }, true);
  add(plan.model, { in: 'file', kind: 'model' });
  add(plan.topology, { in: 'file', kind: 'topology' });
  add(plan.base, { in: 'file', kind: 'plan' });
  for (const member of plan.members) visitPlanMember(plan, member, visitor);
}

function visitPlanMember(plan: PlanDecl, member: PlanMember, visitor: Visitor): void {
  const { add, expression } = visitor;
  const stages: NameSpace = { in: 'stages', plan };
  const place = (outer: readonly string[]): NameSpace => ({ in: 'places of plan', plan, outer });
  const tier = (outer: readonly string[]): NameSpace => ({ in: 'places of plan', plan, outer, all: true });
  switch (member.kind) {
    case 'stage':
      visitStage(member, plan, visitor);
      break;
    case 'property':
      expression(member.value);
      break;
    case 'kv':
      for (const each of member.members)
        if (each.kind === 'property') {
          if (each.name.text === 'tiers') visitExpression(each.value, visitor, stages, tier);
          else expression(each.value);
        }
      break;
    case 'flow':
      for (const name of member.path)
        if (name.text !== 'requests' && name.text !== 'results') add(name, stages);
      for (const rule of member.rules) {
        if (rule.kind !== 'rule') continue;
        add(rule.to, stages);
        visitExpression(rule.when, visitor, stages, (outer) => (outer.length === 0 ? tier([]) : undefined));
      }
      break;
    case 'expect':
      for (const each of member.items) {
        if (each.kind === 'never') add(each.stage, stages);
        else if (each.kind === 'bound') {
          visitExpression(each.condition, visitor, stages, place);
          add(each.workload, { in: 'file', kind: 'workload' });
        }
      }
      break;
  }
}

function visitStage(stage: StageDecl, plan: PlanDecl, visitor: Visitor): void {
  const { add, expression } = visitor;
  add(stage.name, { in: 'stages', plan }, true);
  add(stage.like, { in: 'stages', plan });
  for (const range of stage.on ?? [])
    if (range.kind === 'path') visitPath(range, visitor, (outer) => ({ in: 'places of plan', plan, outer }));
  const visit = (members: StageDecl['members']): void => {
    for (const member of members) {
      if (member.kind === 'property') expression(member.value);
      else if (member.kind === 'mesh_member' && typeof member.mesh !== 'string') expression(member.mesh);
      else if (member.kind === 'replicate' && member.by) expression(member.by);
      else if (member.kind === 'split') expression(member.sizes);
      else if (member.kind === 'override') visit(member.members);
    }
  };
  visit(stage.members);
}

/** Where the segment of a path behind `outer` is looked up; undefined when it is no name. */
type PlaceSpace = (outer: readonly string[]) => NameSpace | undefined;

function visitPath(path: PathExpr, { add, expression }: Visitor, place: PlaceSpace): void {
  const outer: string[] = [];
  for (const { name, index } of path.segments) {
    const space = place([...outer]);
    if (space) add(name, space);
    outer.push(name.text);
    if (index) for (const end of [index.first, index.last]) if (end) expression(end);
  }
}

/** Paths of an expression: plain names in `names`, or places where `place` is given and the name can be one. */
function visitExpression(expr: Expr, visitor: Visitor, names: NameSpace, place?: PlaceSpace): void {
  const inner = (each: Expr): void => visitExpression(each, visitor, names, place);
  switch (expr.kind) {
    case 'path':
      if (place) visitPath(expr, visitor, place);
      else if (expr.segments.length === 1) visitor.add(expr.segments[0]!.name, names);
      break;
    case 'list':
      expr.items.forEach(inner);
      break;
    case 'record':
      expr.entries.forEach(({ value }) => inner(value));
      break;
    case 'mesh':
      expr.entries.forEach(({ size }) => inner(size));
      break;
    case 'call':
      visitCall(expr, visitor, names, place);
      break;
    case 'unary':
      inner(expr.operand);
      break;
    case 'binary':
      for (const side of [expr.left, expr.right])
        if (place && isAmountIn(expr, side)) visitor.expression(side);
        else inner(side);
      break;
    case 'chain':
      for (const { target, upTo } of expr.links) {
        visitPath(target, visitor, place ?? (() => names));
        if (upTo) visitor.expression(upTo);
      }
      break;
  }
}

/** Whether a side of a comparison is what something is compared with: no place with what is watched of it, and no measure. */
function isAmountIn({ op }: BinaryExpr, side: Expr): boolean {
  const compares = op !== 'and' && op !== 'or';
  return compares && side.kind !== 'call' && !(side.kind === 'path' && side.segments.length > 1);
}

/** A measure: its first argument is a stage or an edge of stages, its second a place. */
function visitCall(
  call: Extract<Expr, { kind: 'call' }>,
  visitor: Visitor,
  names: NameSpace,
  place: PlaceSpace | undefined,
): void {
  const plain = call.args.filter((arg) => arg.name === undefined);
  for (const [index, { value }] of plain.entries())
    visitExpression(value, visitor, names, index === 0 ? undefined : place);
}

function soleName({ segments }: PathExpr): PathSegment['name'] | undefined {
  return segments.length === 1 ? segments[0]!.name : undefined;
}
