/**
 * One plan: from merged syntax to a value with every default filled in, and then the rules over that value. Parts
 * are read as far as they can be without each other, so that one mistake does not hide those beside it.
 */
import type { ModelDecl, PlanDecl, TopologyDecl } from '../../../grammar/syntax.js';
import { report } from '../../diagnostics/catalogue.js';
import type { Fix, Origin } from '../../diagnostics/diagnostic.js';
import type { CheckedExpectation, DefaultTaken, Mesh, Plan, Stage } from '../../plan/plan.js';
import { meshesForWorkloads } from '../../planner/auto-meshes.js';
import type { DrawnWorkload, Workload } from '../../plan/workload.js';
import { parsePath } from '../../plan/places.js';
import type { CheckedModel } from '../check-model.js';
import { withWeights } from '../../model/stored-types.js';
import { weightsType } from '../check-model.js';
import type { CheckedTopology } from '../check-topology.js';
import { readProperties } from '../properties.js';
import { fraction, oneOf } from '../readers.js';
import { RULES } from '../rules/rules.js';
import { shareDevices } from '../../plan/share-devices.js';
import { insertion, memberInsertion, removal } from '../fixes.js';
import { at, lookUp, MOST_CHOICES, type Context, type ParamValue } from '../scope.js';
import { readExpectation, type WorkloadOf } from './expectations.js';
import { readFlow } from './flow.js';
import { placeTiers, readKv } from './kv.js';
import { mergePlan, type MergedPlan } from './merge-plan.js';
import { readStage, type CheckedStage } from './stages.js';

/** Declarations that plans share, each checked once per round. */
export interface Shared {
  readonly model: (decl: ModelDecl, cx: Context) => CheckedModel | undefined;
  readonly topology: (decl: TopologyDecl, cx: Context) => CheckedTopology | undefined;
  readonly workload: WorkloadOf;
  /** Those of the file, which its plans must have room for. */
  readonly workloads: readonly Workload[];
  /** Those that open meshes are to suit: with lengths, of the file, or where it declares none, imported. */
  readonly typical: readonly DrawnWorkload[];
  readonly params: Readonly<Record<string, ParamValue>>;
}

/** Properties of a plan. */
export const PLAN_TABLE = {
  memory_use: { read: fraction },
  weights: { read: weightsType },
  residence: { read: oneOf(['auto', 'both', 'switch']) },
  numerics: { read: oneOf(['default', 'invariant']) },
};

const MEMORY_USE = 0.9;

/** The plan of a declaration, or undefined after reporting why there is none. */
export function checkPlan(decl: PlanDecl, cx: Context, shared: Shared): Plan | undefined {
  const merged = mergePlan(decl, cx);
  if (!merged) return undefined;
  const values = readProperties(cx, PLAN_TABLE, merged.properties, 'plan', undefined);
  if (values.get('numerics') === 'invariant')
    cx.report(
      report(
        'not-supported',
        { feature: '`numerics: invariant`' },
        {
          primary: values.origin('numerics')!,
          helps: ['remove the line: sums are in f32 either way'],
          fixes: merged.properties
            .filter(({ property }) => property.name.text === 'numerics')
            .map((placed) => removal(placed.cx, placed.property.span, 'the line')),
        },
      ),
    );
  const model = findModel(merged, cx, shared);
  const topology = findTopology(merged, cx, shared);
  if (merged.stages.length === 0) {
    const helps = ['for example `stage serve: prefill + decode on gpu { mesh auto }`'];
    const arrays = [...(topology?.templates.values() ?? [])].filter(({ kind }) => kind === 'devices');
    const head = (decl.topology ?? decl.model ?? decl.base ?? decl.name).span.end;
    const fixes = arrays.flatMap(
      ({ path }) => memberInsertion(cx, head, `stage serve: prefill + decode on ${path} { mesh auto }`) ?? [],
    );
    cx.report(report('no-stages', { plan: decl.name.text }, { primary: at(cx, decl.name), helps, fixes }));
  }
  if (!model || !topology) return undefined;

  const wanted = values.get('weights');
  const spec = wanted === undefined ? model.spec : withWeights(model.spec, wanted);
  const memoryUse = values.get('memory_use') ?? MEMORY_USE;
  const kvOrigin = merged.kvOrigin ?? at(cx, decl.name);
  const kv = readKv(merged.kv, cx, kvOrigin, topology, spec.weights);
  const use = { plan: merged, model: spec, topology, kvType: kv?.dtype ?? 'f16', memoryUse };
  const read = merged.stages.map((stage) => readStage(stage, use));
  const named = new Map(merged.stages.map((s, i) => [s.name.node.text, read[i]?.stage.devices]));
  const expectations = merged.expectations.map((e) => readExpectation(e, named, topology, shared.workload));
  if (merged.stages.length === 0 || read.includes(undefined)) return undefined;
  const first = read as readonly CheckedStage[];
  const laid = first.map((c) => c.stage);
  if (!phasesCovered(merged, laid, cx) || !kv) return undefined;
  const devices = laid.flatMap((s) => s.devices).map((id) => topology.topology.devices[id]!);
  const placed = placeTiers(
    kv,
    topology.topology,
    [...new Set(devices.map((d) => d.group))],
    parsePath(devices[0]!.path).at(-1)!.name,
  );
  const origin = at(cx, decl.name);
  const checked = settleMeshes(first, shared.typical, {
    name: decl.name.text,
    model: spec,
    topology: topology.topology,
    stages: laid,
    kv: placed.spec,
    flow: { stages: inPhaseOrder(laid), rules: [], origin },
    memoryUse,
    defaults: [],
    params: shared.params,
    origin,
  });
  const stages = checked.map((c) => c.stage);
  const flow = readFlow(merged.flow, { plan: decl.name.text, stages, kv: placed.spec, origin });
  if (!flow || values.failed || expectations.includes(undefined)) return undefined;

  const inTurns = shareDevices(stages);
  // What a plan says holds for the plans that are made of it too, whose stages may share devices where its own do not.
  const residence = values.get('residence') ?? (inTurns ? 'auto' : undefined);
  const defaults: DefaultTaken[] = [
    ...model.defaults.filter((d) => d.what !== 'weights' || !values.origin('weights')),
    ...checked.flatMap((c) => c.defaults),
    ...placed.defaults,
    ...flow.defaults,
    ...(values.origin('memory_use')
      ? []
      : [{ what: 'memory_use', value: '90%', why: 'the driver and others need some device memory too' }]),
    ...(!inTurns || values.origin('residence')
      ? []
      : [
          {
            what: 'residence',
            value: 'auto',
            why: 'weights of several stages stay on a device together where that pays',
          },
        ]),
  ];
  const plan: Plan = {
    name: decl.name.text,
    model: spec,
    topology: topology.topology,
    stages,
    kv: placed.spec,
    flow: flow.flow,
    memoryUse,
    ...(residence && { residence }),
    defaults,
    expectations: expectations as readonly CheckedExpectation[],
    params: shared.params,
    origin,
    propertyOrigins: values.origins,
  };
  const input = {
    plan,
    sources: new Map(checked.map((c) => [c.stage.name, c.sources])),
    provenance: model.provenance,
    workloads: shared.workloads,
  };
  for (const rule of RULES) for (const diagnostic of rule(input)) cx.report(diagnostic);
  return plan;
}

/** Gives stages whose mesh is open the one that suits the workloads. */
function settleMeshes(
  checked: readonly CheckedStage[],
  workloads: readonly DrawnWorkload[],
  draft: Plan,
): readonly CheckedStage[] {
  const open = checked.map(({ stage, withMesh }) => ({
    stage,
    ...(withMesh && { withMesh: (mesh: Mesh): Stage => withMesh(mesh, '').stage }),
  }));
  const meshes = meshesForWorkloads(draft, open, workloads);
  if (meshes === undefined) return checked;
  const names = workloads.map(({ name }) => `\`${name}\``).join(', ');
  const why = `of all meshes the one with the shortest estimated time for ${names}`;
  return checked.map((each) => each.withMesh?.(meshes.get(each.stage.name)!, why) ?? each);
}

/** Names of stages as KV passes through them. */
function inPhaseOrder(stages: readonly Stage[]): readonly string[] {
  const [prefill, others] = [true, false].map((is) =>
    stages.filter(({ phases }) => phases.includes('prefill') === is).map(({ name }) => name),
  );
  return [...prefill!, ...others!];
}

function findModel(merged: MergedPlan, cx: Context, shared: Shared): CheckedModel | undefined {
  if (!merged.model) {
    missing(merged, cx, 'which model it serves', 'model');
    return undefined;
  }
  const found = lookUp(merged.model.cx, merged.model.node, 'model');
  return found && shared.model(found.decl, found.cx);
}

function findTopology(merged: MergedPlan, cx: Context, shared: Shared): CheckedTopology | undefined {
  if (!merged.topology) {
    missing(merged, cx, 'which topology it runs on', 'topology');
    return undefined;
  }
  const found = lookUp(merged.topology.cx, merged.topology.node, 'topology');
  return found && shared.topology(found.decl, found.cx);
}

function missing(merged: MergedPlan, cx: Context, needed: string, kind: 'model' | 'topology'): void {
  const plan = merged.name.node;
  const helps = [`write \`plan ${plan.text} for MODEL on TOPOLOGY\`, or \`plan ${plan.text} from OTHER\``];
  if (plan.text !== '')
    cx.report(
      report(
        'no-model',
        { plan: plan.text, needed },
        { primary: at(cx, plan), helps, fixes: namedAfter(merged, cx, kind) },
      ),
    );
}

/** The clause that a plan lacks, with what the file has to name. */
function namedAfter(merged: MergedPlan, cx: Context, kind: 'model' | 'topology'): readonly Fix[] {
  const names = [...cx.scope.names].filter(([, { decl }]) => decl.kind === kind).map(([name]) => name);
  if (names.length > MOST_CHOICES) return [];
  const before = kind === 'topology' && merged.model?.cx === cx ? merged.model.node : merged.name.node;
  const word = kind === 'model' ? 'for' : 'on';
  return names.map((name) => insertion(cx, before.span.end, ` ${word} ${name}`, `Add \`${word} ${name}\``));
}

function phasesCovered(merged: MergedPlan, stages: readonly Stage[], cx: Context): boolean {
  const primary: Origin = at(cx, merged.name.node);
  const absent = (['prefill', 'decode'] as const).filter((p) => !stages.some((s) => s.phases.includes(p)));
  for (const phase of absent) {
    const helps = [`add \`stage ${phase} on ... { mesh ... }\``];
    cx.report(report('missing-phase', { phase, plan: merged.name.node.text }, { primary, helps }));
  }
  return absent.length === 0;
}
