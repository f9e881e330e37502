/** Shardings as a diagram: a box for each stage, in it the parts of the pipeline with the layers and heads of their ranks. */
import type { CompileResult } from '../../compiler/compile.js';
import { groupBy } from '../../compiler/group-by.js';
import type { RankHolding } from '../../compiler/ir/transitions.js';
import { printMesh } from '../../compiler/ir/print.js';
import type { RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type { Plan, Stage } from '../../compiler/plan/plan.js';
import { showShardings } from '../../compiler/plan/print-plan.js';
import { formatBytes, plural } from '../format.js';
import { planReport } from '../plan-report.js';
import { rangesOf } from '../../compiler/plan/ranges.js';
import { spanOf } from '../../compiler/reshard/draw-holdings.js';
import type { Diagram, DiagramBox, DiagramEdge, DiagramNode } from './diagram.js';

/** Ranks of a tp group named before the rest is counted. */
const RANKS_NAMED = 8;

/** The diagram of all stages' shardings. */
export function shardingDiagram(plan: Plan, { runtime, transitions }: CompileResult): Diagram {
  const { stages } = planReport(runtime, transitions, plan.topology);
  const declared = new Map(plan.stages.map((stage) => [stage.name, stage]));
  return {
    title: `${plan.name}: ${plan.model.name} on ${plan.topology.name}`,
    caption:
      'Who owns which layers and kv heads in each stage, and what goes from one part of a pipeline to the next.',
    items: runtime.stages.map((stage): DiagramBox => {
      const parts = partsOf(transitions.holdings[stage.name]!);
      const name = `${stage.name} ${printMesh(stage.mesh)}`;
      const shardings = tpShardings(declared.get(stage.name)!).join('; ');
      return {
        id: stage.name,
        title: shardings === '' ? name : `${name}: ${shardings}`,
        items: parts.map((ranks) => partNode(plan, stage, ranks)),
      };
    }),
    edges: runtime.stages.flatMap((stage) => {
      const { pp } = stage.mesh;
      const { send } = stages.find((each) => each.stage === stage.name)!.perToken;
      return stage.programs.slice(1).map(({ pp: to }): DiagramEdge => {
        const label = [`${formatBytes(Math.round(send / (pp - 1)))} a token`];
        return { from: partId(stage, to - 1), to: partId(stage, to), label, kind: 'flow' };
      });
    }),
  };
}

/** How the layers of a stage lie on `tp`; nothing where that is a single rank. */
export function tpShardings(stage: Stage): readonly string[] {
  return stage.mesh.tp > 1 ? showShardings(stage) : [];
}

/** Ranks by their place in the pipeline. */
function partsOf(ranks: readonly RankHolding[]): readonly (readonly RankHolding[])[] {
  return [...groupBy(ranks, ({ pp }) => pp)].sort(([a], [b]) => a - b).map(([, part]) => part);
}

function partId({ name }: RuntimeStage, pp: number): string {
  return `${name} pp ${pp}`;
}

function partNode(plan: Plan, stage: RuntimeStage, ranks: readonly RankHolding[]): DiagramNode {
  const { pp, kv } = ranks[0]!;
  const byTp = [...groupBy(ranks, ({ tp }) => tp)].sort(([a], [b]) => a - b);
  const named = byTp.slice(0, RANKS_NAMED);
  const path = ({ device }: RankHolding): string => plan.topology.devices[device]!.path;
  const sums = stage.programs[pp]!.ops.filter(({ op }) => op === 'collective').length;
  return {
    id: partId(stage, pp),
    kind: 'ranks',
    title: `${spanOf('layer', kv.layers)}`,
    lines: [
      ...named.map(([tp, own]) => {
        const heads = spanOf('kv head', own[0]!.kv.heads);
        return `${stage.mesh.tp > 1 ? `tp ${tp}, ` : ''}${heads}: ${rangesOf(own.map(path))}`;
      }),
      ...(byTp.length > named.length ? [`and ${byTp.length - named.length} ranks more`] : []),
      ...(sums > 0 ? [`${plural(sums, 'collective')} a step`] : []),
    ],
  };
}
