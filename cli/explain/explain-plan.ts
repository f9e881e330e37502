/**
 * What the compiler decided about a plan, and why: how each stage lies on its devices, which ops were inserted, what
 * a change of stage moves, and every default that was taken. Plain values; `describe-plan.ts` puts them into text.
 */
import { needsTransition, showCondition } from '../../compiler/check/plan/flow.js';
import type { CompileResult } from '../../compiler/compile.js';
import { countInCommon } from '../../compiler/in-common.js';
import { isCollective } from '../../compiler/ir/print-sharded.js';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { ShardedBlock, ShardedStage } from '../../compiler/ir/sharded.js';
import type { Strategy } from '../../compiler/planner/candidates.js';
import type { DefaultTaken, LayerSharding, Plan, Stage } from '../../compiler/plan/plan.js';
import { passedOver, type PassedOver } from '../passed-over.js';
import { planReport, type PlanReport } from '../plan-report.js';
import type { RenderOptions } from '../render-diagnostics.js';
import { planConstants, type Constant } from './constants.js';

/** An op that the plan does not write and the compiler inserted. */
export interface InsertedOp {
  readonly block: string;
  readonly op: string;
  readonly reason: string;
}

/** How a stage lies on its devices. */
export interface StageExplanation {
  readonly name: string;
  readonly phases: readonly string[];
  readonly devices: readonly string[];
  readonly mesh: Plan['stages'][number]['mesh'];
  /** What each pipeline stage holds, in order. */
  readonly segments: readonly string[];
  readonly sharding: LayerSharding;
  readonly overrides: readonly string[];
  readonly inserted: readonly InsertedOp[];
}

/** What a flow edge is, see `strategyOf`, or a stage for both phases; the tuner tries nothing that is `static`. */
export type FlowStrategy = Strategy | 'static';

/** How requests get from one stage to the next. */
export interface EdgeExplanation {
  readonly from: string;
  readonly to: string;
  readonly strategy: FlowStrategy;
}

/** The KV that there is room for in one place: a pool on the devices of a replica, or a tier. */
export interface KvRoom {
  readonly place: string;
  readonly pages: number;
  readonly tokens: number;
  readonly bytes: number;
}

/** What the compiler decided about a plan. */
export interface PlanExplanation extends PlanReport {
  readonly topology: string;
  readonly layout: readonly StageExplanation[];
  readonly edges: readonly EdgeExplanation[];
  readonly rules: readonly { readonly to: string; readonly when: string; readonly default: boolean }[];
  readonly kvRoom: readonly KvRoom[];
  readonly passedOver?: PassedOver;
  readonly defaults: readonly DefaultTaken[];
  /** What a simulation depends on, and where each figure comes from. */
  readonly constants: readonly Constant[];
}

/** Gathers the explanation of a compiled plan; a plain JSON value. */
export function explainPlan(
  plan: Plan,
  compiled: CompileResult,
  texts: Pick<RenderOptions, 'textOf' | 'nameOf'>,
): PlanExplanation {
  const { sharded, transitions, runtime } = compiled;
  const stageOf = (name: string): Stage => plan.stages.find((stage) => stage.name === name)!;
  const flow = plan.flow.stages;
  const passed = passedOver(runtime, [runtime.model.shape.context]);
  return {
    ...planReport(runtime, transitions, plan.topology),
    topology: plan.topology.name,
    layout: sharded.stages.map((stage) => explainStage(plan, stageOf(stage.name), stage)),
    edges: flow.slice(1).map((to, i) => {
      const from = flow[i]!;
      return { from, to, strategy: strategyOf(stageOf(from), stageOf(to)) };
    }),
    rules: plan.flow.rules.map(({ to, when, origin }) => ({
      to,
      when: showCondition(when),
      default: origin === undefined,
    })),
    kvRoom: kvRoom(runtime),
    ...(passed && { passedOver: passed }),
    defaults: plan.defaults,
    constants: planConstants(plan, texts),
  };
}

/** Stages on the same devices are static when their weights lie alike, else re-sharded; on others, disaggregated. */
function strategyOf(from: Stage, to: Stage): FlowStrategy {
  if (countInCommon(from.devices, to.devices) === 0) return 'disaggregated';
  return needsTransition(from, to) ? 're-sharded' : 'static';
}

/** Of tiers less than their caps where they hold a copy of the weights as well. */
function kvRoom({ pools, hostTier, diskTier, kv: { pageTokens } }: RuntimeGraph): readonly KvRoom[] {
  const room = (place: string, pages: number, pageBytes: number): KvRoom => ({
    place,
    pages,
    tokens: pages * pageTokens,
    bytes: pages * pageBytes,
  });
  return [
    ...pools.map(({ id, pages, within, ranks }) => {
      const replica = ranks.filter(({ dp }) => dp === 0);
      const each = ranks.length > replica.length ? ', each replica' : '';
      const place = `devices of ${id}${each}${within === undefined ? '' : `, within those of ${within}`}`;
      return room(
        place,
        pages,
        replica.reduce((sum, { pageBytes }) => sum + pageBytes, 0),
      );
    }),
    ...[hostTier, diskTier].flatMap((tier) =>
      tier === undefined ? [] : [room(tier.name, tier.pages, hostTier?.pageBytes ?? 0)],
    ),
  ];
}

function explainStage(plan: Plan, stage: Stage, sharded: ShardedStage): StageExplanation {
  const layers = sharded.layers.map(
    ({ firstLayer, lastLayer, block }) => [layerRange(firstLayer, lastLayer), block] as const,
  );
  const blocks: readonly (readonly [string, ShardedBlock])[] = [
    ['embed', sharded.embed],
    ...layers,
    ['head', sharded.head],
  ];
  return {
    name: stage.name,
    phases: stage.phases,
    devices: stage.devices.map((id) => plan.topology.devices[id]!.path),
    mesh: stage.mesh,
    segments: sharded.segments.map(({ embed, head, firstLayer, lastLayer }) =>
      [...(embed ? ['embed'] : []), layerRange(firstLayer, lastLayer), ...(head ? ['head'] : [])].join(', '),
    ),
    sharding: stage.sharding,
    overrides: stage.overrides.map(
      ({ firstLayer, lastLayer, part, sharding }) =>
        `${layerRange(firstLayer, lastLayer)}, ${part}: ${describeSplit(sharding, stage.mesh.tp)}`,
    ),
    inserted: blocks.flatMap(([block, { ops }]) =>
      ops.filter(isCollective).map((op) => ({
        block,
        op: `${op.kind} of ${op.inputs[0]} over ${op.axis}`,
        reason: op.reason,
      })),
    ),
  };
}

/** `heads and ffn split 4 ways, the rest whole on every rank`. */
export function describeSplit({ onTp, kvReplicas }: LayerSharding, tp: number): string {
  if (tp === 1) return 'every layer whole on its device (tp is 1)';
  if (onTp.length === 0) return 'every dimension whole on every rank';
  const names = onTp.length === 1 ? onTp[0]! : `${onTp.slice(0, -1).join(', ')} and ${onTp.at(-1)!}`;
  const copies = kvReplicas > 1 ? `, every KV head in ${kvReplicas} copies` : '';
  return `${names} split ${tp} ways over tp${copies}`;
}

function layerRange(first: number, last: number): string {
  return first === last ? `layer ${first}` : `layers ${first} to ${last}`;
}
