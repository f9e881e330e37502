/** Stages: phases, devices, mesh, sharding and batch sizes. */
import type { Name } from '../../../grammar/syntax.js';
import { report } from '../../diagnostics/catalogue.js';
import { devicesWord } from '../../diagnostics/catalogue/entry.js';
import type { Origin } from '../../diagnostics/diagnostic.js';
import type { DType, ModelSpec } from '../../model/shape.js';
import type { DefaultTaken, Mesh, Phase, Stage, TpDim } from '../../plan/plan.js';
import type { CheckedTopology } from '../check-topology.js';
import { readProperties } from '../properties.js';
import { quantity } from '../readers.js';
import { insertion, memberInsertion, removal, replacement } from '../fixes.js';
import { at, choices, MOST_CHOICES, suggestions, type Context } from '../scope.js';
import { selectDevices } from '../select-places.js';
import { chooseMesh } from './auto-mesh.js';
import { mergeStage, type MergedPlan, type MergedStage } from './merge-plan.js';
import { divisors, meshesOf, readMesh, showMesh, type Axis } from './mesh.js';
import { evenSplit, readOverride, readPlacements, readSplit } from './sharding.js';

export interface StageUse {
  readonly plan: MergedPlan;
  readonly model: ModelSpec;
  readonly topology: CheckedTopology;
  readonly kvType: DType;
  readonly memoryUse: number;
}

/** Where the facts of a stage are written, for rules to point at. */
export interface StageSources {
  readonly on: Origin;
  readonly axes: Readonly<Partial<Record<Axis, Origin>>>;
  readonly placements: ReadonlyMap<TpDim, Origin>;
}

export interface CheckedStage {
  readonly stage: Stage;
  readonly sources: StageSources;
  readonly defaults: readonly DefaultTaken[];
  /** The stage with another mesh over its devices, and why it has that, where the file leaves the mesh open. */
  readonly withMesh?: (mesh: Mesh, why: string) => CheckedStage;
}

const PHASES: readonly Phase[] = ['prefill', 'decode'];

/** Properties of a stage. */
export const STAGE_TABLE = {
  microbatch: { read: quantity('tokens', { whole: true, min: 1, max: 1_000_000 }) },
  batch: { read: quantity('requests', { whole: true, min: 1, max: 100_000 }) },
};

/** Tokens of a microbatch: enough rows to keep matrix units busy, few enough that a pipeline fills. */
const MICROBATCH = 2048;
/** Requests in a decode batch of a few devices: weights are read once for them. */
const BATCH = 256;
/** Requests of each step in flight at least: a pod has so many steps that a batch for a few devices leaves each next to none. */
const REQUESTS_OF_STEP = 32;

/** Requests in the decode batch of a stage with a mesh where a plan does not say. */
export function defaultBatch({ dp, pp }: Pick<Mesh, 'dp' | 'pp'>): number {
  return Math.max(BATCH, dp * pp * REQUESTS_OF_STEP);
}

/** The stage of merged syntax, or undefined after reporting. */
export function readStage(written: MergedStage, use: StageUse): CheckedStage | undefined {
  const merged = resolveLike(written, use.plan, []);
  if (!merged) return undefined;
  const { cx } = merged.name;
  const name = merged.name.node;
  const phases = readPhases(merged);
  const values = readProperties(cx, STAGE_TABLE, merged.properties, 'stage', name);
  const placed = readPlacements(merged.placements);
  const overrides = placed
    ? merged.overrides.map((o) => readOverride(o, use.model.shape.layers, placed.sharding))
    : [];
  if (!merged.on) {
    const arrays = [...use.topology.templates.values()].filter((t) => t.kind === 'devices');
    const helps = arrays.map((a) => `write \`on ${a.path}\``);
    const head = merged.phases?.cx === cx ? merged.phases.node.at(-1)! : name;
    // Where the head names no phases yet, there is more to write first.
    const fixes = (phases ? arrays : [])
      .slice(0, MOST_CHOICES)
      .map((a) => insertion(cx, head.span.end, ` on ${a.path}`, `Add \`on ${a.path}\``));
    cx.report(report('stage-without-devices', { stage: name.text }, { primary: at(cx, name), helps, fixes }));
    return undefined;
  }
  const ranges = merged.on.node;
  if (ranges.length === 0) return undefined;
  const devices = selectDevices(ranges, use.topology, merged.on.cx);
  if (!devices) return undefined;
  const on = at(merged.on.cx, {
    span: { start: ranges[0]!.span.start, end: ranges.at(-1)!.span.end },
  });
  const laid = readLayout(merged, name, devices, on, use);
  if (!laid || !phases || !placed || values.failed || overrides.includes(undefined)) return undefined;
  const { mesh, axes, meshOrigin } = laid;
  const { layers, context } = use.model.shape;
  if (mesh.pp > layers) {
    const primary = axes.pp ?? meshOrigin;
    const valid = divisors(devices.length).filter((pp) => pp <= layers);
    const helps = [
      `pp = ${valid.join(', ')} divides the ${devices.length} devices and leaves every stage a layer`,
    ];
    const fixes = axes.pp
      ? meshesOf(devices.length, use.model).map((fit) => replacement(meshOrigin, `(${showMesh(fit)})`))
      : [];
    cx.report(report('too-many-pipeline-stages', { pp: mesh.pp, layers }, { primary, helps, fixes }));
    return undefined;
  }
  const layerSplit = merged.split
    ? readSplit(merged.split, layers, mesh, axes.pp ?? meshOrigin)
    : evenSplit(layers, mesh.pp);
  if (!layerSplit) return undefined;

  const layOut = ({ mesh: chosen, defaults: reasons }: Pick<Laid, 'mesh' | 'defaults'>): CheckedStage => {
    const split = merged.split ? layerSplit : evenSplit(layers, chosen.pp);
    const batchRequests = values.get('batch') ?? defaultBatch(chosen);
    const perStep = Math.ceil(batchRequests / (chosen.dp * chosen.pp));
    const prefills = phases.includes('prefill');
    const microbatchTokens = values.get('microbatch') ?? (prefills ? Math.min(MICROBATCH, context) : perStep);
    const defaults: DefaultTaken[] = [...reasons];
    const took = (what: string, value: string, why: string): void =>
      void defaults.push({ what: `${name.text}.${what}`, value, why });
    if (!values.origin('microbatch') && prefills)
      took(
        'microbatch',
        `${microbatchTokens} tokens`,
        'long enough for efficient kernels, at most the context',
      );
    if (!values.origin('batch') && phases.includes('decode'))
      took('batch', `${batchRequests} requests`, 'weights are read once for many requests');
    if (!merged.split && chosen.pp > 1)
      took('layers', `[${split.join(', ')}]`, 'as even as possible, earlier stages larger');
    return {
      stage: {
        name: name.text,
        phases,
        devices,
        mesh: chosen,
        layerSplit: split,
        sharding: placed.sharding,
        overrides: overrides.flatMap((o) => o ?? []),
        microbatchTokens,
        batchRequests,
        origin: at(cx, name),
        meshOrigin,
      },
      sources: { on, axes, placements: placed.origins },
      defaults,
    };
  };
  if (!laid.open || merged.split) return layOut(laid);
  const withMesh = (chosen: Mesh, why: string): CheckedStage =>
    layOut({ mesh: chosen, defaults: [{ what: `${name.text}.mesh`, value: `(${showMesh(chosen)})`, why }] });
  return { ...layOut(laid), withMesh };
}

/** A stage over the one it is `like`, and that over its own. */
function resolveLike(stage: MergedStage, plan: MergedPlan, seen: readonly string[]): MergedStage | undefined {
  if (!stage.like) return stage;
  const { node, cx } = stage.like;
  // Where a name is missing, the parser has said so.
  if (node.text === '') return undefined;
  const chain = [...seen, stage.name.node.text];
  if (chain.includes(node.text)) {
    const cycle = [...chain.slice(chain.indexOf(node.text)), node.text];
    const word = /\s*\blike\s*$/.exec(cx.scope.file.text.slice(0, node.span.start));
    const fixes = word
      ? [removal(cx, { start: word.index, end: node.span.end }, `\`like ${node.text}\``)]
      : [];
    cx.report(report('like-cycle', { cycle }, { primary: at(cx, node), fixes }));
    return undefined;
  }
  const other = plan.stages.find((s) => s.name.node.text === node.text);
  if (!other) {
    const primary = at(cx, node);
    const known = plan.stages.map((s) => s.name.node.text).filter((n) => n !== stage.name.node.text);
    cx.report(
      report(
        'unknown-stage',
        { stage: node.text, plan: plan.name.node.text },
        { primary, ...suggestions(primary, node.text, known, 'stages') },
      ),
    );
    return undefined;
  }
  const base = resolveLike(other, plan, chain);
  if (!base) return undefined;
  const merged = mergeStage(base, stage);
  // A stage named for its phase keeps that phase; any other takes over those of the stage it is like.
  if (stage.phases || !isPhase(stage.name.node.text)) return merged;
  return { ...merged, phases: { node: [stage.name.node], cx: stage.name.cx } };
}

const isPhase = (word: string): word is Phase => (PHASES as readonly string[]).includes(word);

function readPhases(stage: MergedStage): readonly Phase[] | undefined {
  const name = stage.name.node;
  if (!stage.phases) {
    if (isPhase(name.text)) return [name.text];
    if (name.text !== '') reportPhase(name, stage.name.cx, name.text);
    return undefined;
  }
  const { node, cx } = stage.phases;
  let failed = false;
  for (const phase of node)
    if (!isPhase(phase.text)) {
      failed = true;
      if (phase.text !== '') reportPhase(phase, cx, name.text);
    }
  return failed ? undefined : PHASES.filter((p) => node.some((n) => n.text === p));
}

function reportPhase(phase: Name, cx: Context, stage: string): void {
  const primary = at(cx, phase);
  const near = choices(primary, phase.text, PHASES, 'phases');
  const helps = [...near.helps, `write \`stage ${stage}: prefill + decode\`, or one of the two`];
  cx.report(report('unknown-phase', { phase: phase.text }, { primary, helps, fixes: near.fixes }));
}

interface Laid {
  readonly mesh: Mesh;
  readonly axes: StageSources['axes'];
  readonly meshOrigin: Origin;
  readonly defaults: readonly DefaultTaken[];
  /** The file leaves the mesh to the compiler. */
  readonly open?: boolean;
}

function readLayout(
  stage: MergedStage,
  name: Name,
  devices: readonly number[],
  on: Origin,
  use: StageUse,
): Laid | undefined {
  const owner = stage.name.cx;
  if (!stage.mesh) {
    if (devices.length === 1)
      return {
        mesh: { dp: 1, pp: 1, tp: 1 },
        axes: {},
        meshOrigin: at(owner, name),
        defaults: [{ what: `${name.text}.mesh`, value: '(tp: 1)', why: 'the stage stands on one device' }],
      };
    const shown = meshesOf(devices.length, use.model).map((mesh) => `(${showMesh(mesh)})`);
    const best = `mesh ${shown.at(-1) ?? '(dp: fill)'}`;
    const helps = [`add \`${best}\` or \`mesh auto\``];
    const head = on.file === owner.scope.path ? on.span.end : name.span.end;
    const fixes = [best, 'mesh auto'].flatMap((member) => memberInsertion(owner, head, member) ?? []);
    owner.report(
      report(
        'stage-without-mesh',
        { stage: name.text, devices: devices.length },
        { primary: at(owner, name), helps, fixes },
      ),
    );
    return undefined;
  }
  const { node, cx } = stage.mesh;
  if (node.mesh === 'auto') return autoMesh(stage.mesh, name, devices, on, use);
  if (node.mesh.kind === 'error') return undefined;
  const checked = readMesh(node.mesh, cx, {
    stage: name.text,
    model: use.model.name,
    sized: use.model,
    devices: devices.length,
    on,
  });
  return checked && { ...checked, meshOrigin: at(cx, node.mesh), defaults: [] };
}

function autoMesh(
  { node, cx }: NonNullable<MergedStage['mesh']>,
  name: Name,
  ids: readonly number[],
  on: Origin,
  use: StageUse,
): Laid | undefined {
  const devices = ids.map((id) => use.topology.topology.devices[id]!);
  const chosen = chooseMesh(use.model, use.kvType, devices, use.memoryUse);
  const origin = at(cx, node);
  if (!chosen) {
    const related = [{ ...on, label: devicesWord(ids.length) }];
    const helps = ['name more devices, or a smaller element type for `weights`'];
    cx.report(
      report('no-mesh-fits', { stage: name.text, devices: ids.length }, { primary: origin, related, helps }),
    );
    return undefined;
  }
  const { mesh, why } = chosen;
  return {
    mesh,
    axes: {},
    meshOrigin: origin,
    open: true,
    defaults: [{ what: `${name.text}.mesh`, value: `(${showMesh(mesh)})`, why }],
  };
}
