/**
 * A plan with all that it inherits. Members merge by what they name: stages by name, properties by property, the
 * flow as a whole, expectations by what they measure. Nothing is evaluated here, so a member that a derived plan
 * replaces is never complained about on its behalf.
 */
import type {
  Expectation,
  FlowDecl,
  MeshMember,
  Name,
  OverrideMember,
  PathExpr,
  PlanDecl,
  PlanMember,
  ReplicateMember,
  ShardMember,
  SplitMember,
  StageDecl,
} from '../../../grammar/syntax.js';
import { report } from '../../diagnostics/catalogue.js';
import type { Origin } from '../../diagnostics/diagnostic.js';
import { removal } from '../fixes.js';
import { ownProperties, reportDuplicates, type PlacedProperty } from '../properties.js';
import { at, lookUp, type Context } from '../scope.js';

/** A piece of syntax with the file it is written in. */
export interface Placed<T> {
  readonly node: T;
  readonly cx: Context;
}

export interface MergedStage {
  readonly name: Placed<Name>;
  readonly phases?: Placed<readonly Name[]>;
  readonly on?: Placed<readonly PathExpr[]>;
  readonly like?: Placed<Name>;
  readonly mesh?: Placed<MeshMember>;
  readonly placements: readonly Placed<ShardMember | ReplicateMember>[];
  readonly split?: Placed<SplitMember>;
  readonly overrides: readonly Placed<OverrideMember>[];
  readonly properties: readonly PlacedProperty[];
}

export interface MergedPlan {
  readonly name: Placed<Name>;
  readonly model?: Placed<Name>;
  readonly topology?: Placed<Name>;
  readonly stages: readonly MergedStage[];
  readonly kv: readonly PlacedProperty[];
  readonly kvOrigin?: Origin;
  readonly flow?: Placed<FlowDecl>;
  readonly expectations: readonly Placed<Expectation>[];
  readonly properties: readonly PlacedProperty[];
}

/** The plan of a declaration and its bases, or undefined when a base cannot be found. */
export function mergePlan(
  decl: PlanDecl,
  cx: Context,
  derived: readonly PlanDecl[] = [],
): MergedPlan | undefined {
  const own = readOwn(decl, cx);
  if (!decl.base) return own;
  const found = lookUp(cx, decl.base, 'plan');
  if (!found) return undefined;
  const chain = [...derived, decl];
  if (chain.includes(found.decl)) {
    const cycle = [...chain.slice(chain.indexOf(found.decl)), found.decl].map((d) => d.name.text);
    cx.report(
      report(
        'plan-cycle',
        { cycle },
        { primary: at(cx, decl.base), helps: ['write one of them `for` a model and `on` a topology'] },
      ),
    );
    return undefined;
  }
  const base = mergePlan(found.decl, found.cx, chain);
  return base && mergeOver(base, own);
}

function readOwn(decl: PlanDecl, cx: Context): MergedPlan {
  const stages: MergedStage[] = [];
  const expectations: Placed<Expectation>[] = [];
  let kv: readonly PlacedProperty[] = [];
  let kvOrigin: Origin | undefined;
  let flow: Placed<FlowDecl> | undefined;
  const twice = (block: string, member: PlanMember, origin: Origin, first: Origin): void =>
    cx.report(
      report(
        'duplicate-block',
        { block },
        {
          primary: origin,
          related: [{ ...first, label: 'the first one' }],
          fixes: [removal(cx, member.span, 'this block')],
        },
      ),
    );
  for (const member of decl.members) {
    switch (member.kind) {
      case 'stage':
        addStage(member, stages, cx);
        break;
      case 'kv':
        if (kvOrigin) twice('kv block', member, headOf(cx, member, 2), kvOrigin);
        else {
          kv = ownProperties(cx, member.members);
          kvOrigin = headOf(cx, member, 2);
          reportDuplicates(kv, 'kv block');
        }
        break;
      case 'flow':
        if (flow) twice('flow', member, headOf(cx, member, 4), headOf(flow.cx, flow.node, 4));
        else flow = { node: member, cx };
        break;
      case 'expect':
        for (const item of member.items) if (item.kind !== 'unknown') expectations.push({ node: item, cx });
        break;
      default:
        break;
    }
  }
  const properties = ownProperties(cx, decl.members);
  reportDuplicates(properties, 'plan');
  return {
    name: { node: decl.name, cx },
    ...(decl.model && { model: { node: decl.model, cx } }),
    ...(decl.topology && { topology: { node: decl.topology, cx } }),
    stages,
    kv,
    ...(kvOrigin && { kvOrigin }),
    ...(flow && { flow }),
    expectations,
    properties,
  };
}

/** The first word of a block: `kv`, `flow`. */
function headOf(cx: Context, node: { readonly span: Origin['span'] }, length: number): Origin {
  return { file: cx.scope.path, span: { start: node.span.start, end: node.span.start + length } };
}

function addStage(decl: StageDecl, stages: MergedStage[], cx: Context): void {
  // Two names that are missing are not one.
  const earlier = decl.name.text === '' ? undefined : stages.find((s) => s.name.node.text === decl.name.text);
  if (earlier) {
    cx.report(
      report(
        'duplicate-stage',
        { stage: decl.name.text },
        {
          primary: at(cx, decl.name),
          related: [{ ...at(cx, earlier.name.node), label: 'declared here first' }],
          fixes: [removal(cx, decl.span, 'this stage')],
        },
      ),
    );
    return;
  }
  stages.push(readStage(decl, cx));
}

function readStage(decl: StageDecl, cx: Context): MergedStage {
  const placements: Placed<ShardMember | ReplicateMember>[] = [];
  const overrides: Placed<OverrideMember>[] = [];
  let mesh: Placed<MeshMember> | undefined;
  let split: Placed<SplitMember> | undefined;
  for (const member of decl.members) {
    switch (member.kind) {
      case 'mesh_member':
        if (mesh) repeated('mesh', member, mesh.node, cx);
        else mesh = { node: member, cx };
        break;
      case 'split':
        if (split) repeated('split', member, split.node, cx);
        else split = { node: member, cx };
        break;
      case 'shard':
      case 'replicate':
        placements.push({ node: member, cx });
        break;
      case 'override':
        overrides.push({ node: member, cx });
        break;
      default:
        break;
    }
  }
  const ranges = decl.on?.filter((range): range is PathExpr => range.kind === 'path');
  const properties = ownProperties(cx, decl.members);
  reportDuplicates(properties, 'stage');
  return {
    name: { node: decl.name, cx },
    ...(decl.phases.length > 0 && { phases: { node: decl.phases, cx } }),
    // The parser has said what is wrong with one: which devices are meant is not known.
    ...(ranges && { on: { node: ranges.length === decl.on?.length ? ranges : [], cx } }),
    ...(decl.like && { like: { node: decl.like, cx } }),
    ...(mesh && { mesh }),
    placements,
    ...(split && { split }),
    overrides,
    properties,
  };
}

function repeated(
  block: string,
  node: { readonly span: Origin['span'] },
  first: { readonly span: Origin['span'] },
  cx: Context,
): void {
  cx.report(
    report(
      'duplicate-block',
      { block },
      {
        primary: at(cx, node),
        related: [{ ...at(cx, first), label: 'the first one' }],
        fixes: [removal(cx, node.span, `this \`${block}\``)],
      },
    ),
  );
}

function mergeOver(base: MergedPlan, own: MergedPlan): MergedPlan {
  const stages = base.stages.map((stage) => {
    const over = own.stages.find((s) => s.name.node.text === stage.name.node.text);
    return over ? mergeStage(stage, over) : stage;
  });
  const added = own.stages.filter(
    (s) => !base.stages.some((stage) => stage.name.node.text === s.name.node.text),
  );
  const measured = new Set(own.expectations.map(measureText));
  return {
    ...base,
    ...own,
    stages: [...stages, ...added],
    kv: mergeProperties(base.kv, own.kv),
    expectations: [...base.expectations.filter((e) => !measured.has(measureText(e))), ...own.expectations],
    properties: mergeProperties(base.properties, own.properties),
  };
}

/** A stage over another of the same name, or over the one it is `like`. */
export function mergeStage(base: MergedStage, own: MergedStage): MergedStage {
  const placed = new Set(own.placements.flatMap((p) => p.node.dims.map((d) => d.text)));
  return {
    ...base,
    ...own,
    placements: [
      ...base.placements.filter((p) => !p.node.dims.some((d) => placed.has(d.text))),
      ...own.placements,
    ],
    overrides: [...base.overrides, ...own.overrides],
    properties: mergeProperties(base.properties, own.properties),
  };
}

function mergeProperties(
  base: readonly PlacedProperty[],
  own: readonly PlacedProperty[],
): readonly PlacedProperty[] {
  const given = new Set(own.map((p) => p.property.name.text));
  return [...base.filter((p) => !given.has(p.property.name.text)), ...own];
}

/** What an expectation measures, without its bound, as written. */
function measureText({ node, cx }: Placed<Expectation>): string {
  const { text } = cx.scope.file;
  const slice = (span: Origin['span']): string => text.slice(span.start, span.end).replace(/\s+/g, '');
  if (node.kind === 'never') return slice(node.span);
  const measure = node.condition.kind === 'binary' ? node.condition.left : node.condition;
  return `${slice(measure.span)} ${node.workload?.text ?? ''}`;
}
