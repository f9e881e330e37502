/** What compiling a plan found, as notes beside the lines that caused it: memory, local shapes, traffic, moves. */
import type { CompiledPlan } from '../../compiler/check-and-compile.js';
import { sentElementBytes } from '../../compiler/cost/group-hardware.js';
import { formatBinaryBytes, formatQuantity } from '../../compiler/check/units.js';
import type { Origin } from '../../compiler/diagnostics/diagnostic.js';
import type { RuntimeGraph, RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type { LayerSharding, Plan, Stage } from '../../compiler/plan/plan.js';
import { causesOf, type Caused } from '../../compiler/provenance.js';

export interface PlanNote {
  /** The text that the note is about; it is shown behind it. */
  readonly at: Origin;
  readonly text: string;
  /** Markdown, for hover. */
  readonly detail: string;
}

/** Notes of all plans that stand in the file at `path`. Where several plans share a line, each note names its plan. */
export function planNotes(path: string, compiled: readonly CompiledPlan[]): readonly PlanNote[] {
  const notes = compiled.flatMap(({ plan, result }) => {
    const causes = causesOf(plan, result);
    const stages = plan.stages.flatMap((stage) => {
      const lowered = result.runtime.stages.find(({ name }) => name === stage.name);
      return lowered === undefined ? [] : [stageNote(plan, stage, lowered, result.runtime, causes)];
    });
    return [...stages, ...edgeNotes(plan, result.transitions)].map((note) => ({ plan: plan.name, note }));
  });
  const here = notes.filter(({ note }) => note.at.file === path);
  const sharers = (at: Origin): number =>
    new Set(here.filter(({ note }) => note.at.span.end === at.span.end).map(({ plan }) => plan)).size;
  return here.map(({ plan, note }) =>
    sharers(note.at) > 1 ? { ...note, text: `${plan}: ${note.text}` } : note,
  );
}

function stageNote(
  plan: Plan,
  stage: Stage,
  lowered: RuntimeStage,
  runtime: RuntimeGraph,
  causes: readonly Caused[],
): PlanNote {
  const devices = runtime.devices.filter(({ id }) => stage.devices.includes(id));
  const most = (pick: (device: (typeof devices)[number]) => number): number =>
    Math.max(0, ...devices.map(pick));
  const shard = Math.max(
    0,
    ...lowered.shards.map(({ weights }) => weights.reduce((sum, { bytes }) => sum + bytes, 0)),
  );
  const pool = runtime.pools.find(({ id }) => id === lowered.pool);
  const room = (pool?.pages ?? 0) * runtime.kv.pageTokens;
  const collectives = causes.filter(
    ({ kind, id }) => kind === 'collective' && id.startsWith(`${stage.name}/`),
  );
  const perLayer = collectives.filter(({ id }) => id.startsWith(`${stage.name}/layers`)).length;
  const classes = new Set(
    collectives.filter(({ id }) => id.startsWith(`${stage.name}/layers`)).map(({ id }) => id.split('/')[1]),
  ).size;
  const traffic = bytesPerStep(lowered, sentElementBytes(plan.topology));
  const step = traffic > 0 ? `, ${formatBinaryBytes(traffic)} a full step` : '';
  const shapes = localShapes(plan, stage.sharding, stage.mesh.tp);
  // Where nobody wrote the mesh, it is what one wants to know first.
  const chosen = plan.defaults.find(({ what }) => what === `${stage.name}.mesh`);
  const parts = [
    ...(chosen === undefined ? [] : [`mesh ${chosen.value}`]),
    `weights ${formatBinaryBytes(shard)}`,
    `KV room ${room.toLocaleString('en')} tokens`,
    ...(shapes === '' ? [] : [shapes]),
    ...(perLayer > 0 ? [`${Math.round(perLayer / Math.max(1, classes))} collectives a layer${step}`] : []),
  ];
  const detail = [
    `**stage ${stage.name}** of plan ${plan.name}, ${stage.devices.length} devices`,
    '',
    ...(chosen === undefined ? [] : [`mesh ${chosen.value}: ${chosen.why}`, '']),
    `| a device | |`,
    `| --- | --- |`,
    `| weights | ${formatBinaryBytes(shard)} |`,
    `| workspace | ${formatBinaryBytes(most(({ peak }) => peak.workspace))} |`,
    `| KV | ${formatBinaryBytes(most(({ peak }) => peak.kv))}, ${room.toLocaleString('en')} tokens a replica |`,
    `| peak | ${formatBinaryBytes(most(({ peak }) => peak.total))} of ${formatBinaryBytes(most(({ budget }) => budget))} |`,
    '',
    ...collectives.map(({ text, reason }) => `- \`${text}\`${reason === undefined ? '' : `: ${reason}`}`),
  ].join('\n');
  return { at: stage.meshOrigin, text: parts.join(', '), detail };
}

/** Bytes that the collectives and sends of one full step hand in, over all pipeline stages of a replica. */
function bytesPerStep({ programs, maxTokens }: RuntimeStage, elementBytes: number): number {
  return programs
    .flatMap(({ ops, values }) =>
      ops.map((op) => {
        if (op.op !== 'collective' && op.op !== 'send') return 0;
        const value = values.find(({ id }) => id === op.value)!;
        return value.rows === 'tokens' ? value.cols * maxTokens * elementBytes : 0;
      }),
    )
    .reduce((sum, bytes) => sum + bytes, 0);
}

/** `heads 4, kv_heads 1, ffn 1792 a rank`. */
function localShapes({ model }: Plan, { onTp, kvReplicas }: LayerSharding, tp: number): string {
  if (tp === 1) return '';
  const { heads, kvHeads, ffn } = model.shape;
  const dims = { heads, kv_heads: kvHeads * kvReplicas, ffn };
  const local = Object.entries(dims).map(
    ([dim, size]) => `${dim} ${(onTp as readonly string[]).includes(dim) ? size / tp : size}`,
  );
  return `${local.join(', ')} a rank`;
}

function edgeNotes(plan: Plan, { weights, kv }: CompiledPlan['result']['transitions']): readonly PlanNote[] {
  const moved = weights.map(({ from, to, bytes, cost }) => {
    const total = bytes.upload + bytes.peer + bytes.copy;
    return {
      text: `${from} -> ${to} moves ${formatBinaryBytes(total)} of weights in ${formatQuantity(cost.seconds, 'seconds')}`,
    };
  });
  const pages = kv.map(({ from, to, path, tier, bytesPerToken }) => ({
    text:
      path === 'shared'
        ? `KV ${from} -> ${to} stays`
        : `KV ${formatBinaryBytes(bytesPerToken.out)} a token through ${tier}`,
  }));
  const lines = [...moved, ...pages].map(({ text }) => text);
  if (lines.length === 0) return [];
  return [
    { at: plan.flow.origin, text: lines.join('; '), detail: lines.map((line) => `- ${line}`).join('\n') },
  ];
}
