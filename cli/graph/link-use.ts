/**
 * What links carry by the compiled plan: in one full step of one replica of each stage, for a token of KV on an edge of
 * the flow, and in a change of stage.
 */
import { FULCRUM_ENGINE } from '../../compiler/cost/engine-model.js';
import { ringBytes } from '../../compiler/cost/links.js';
import type { CompileResult } from '../../compiler/compile.js';
import type { RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type { LinkLoad } from '../../compiler/ir/transitions.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { parsePath } from '../../compiler/plan/places.js';
import { routesOf } from '../../compiler/plan/routes.js';
import { linkLoads } from '../../compiler/reshard/link-loads.js';
import { roadsOf, type Road } from '../../compiler/reshard/roads.js';
import { stageGroups } from '../../runtime/clock/stage-clock.js';
import { formatCount } from '../format.js';

export interface PlannedUse {
  /** `step of decode, 64 rows`, `weights prefill -> decode`. */
  readonly what: string;
  /** Stages whose devices take part. */
  readonly stages: readonly string[];
  readonly load: LinkLoad;
}

export function plannedUse(plan: Plan, { runtime, transitions }: CompileResult): readonly PlannedUse[] {
  const of = (what: string, stages: readonly string[], loads: readonly LinkLoad[]): readonly PlannedUse[] =>
    loads.filter(({ link }) => !link.endsWith('memory')).map((load) => ({ what, stages, load }));
  const arrays = new Set(plan.topology.devices.map(({ path }) => parsePath(path).at(-1)!.name));
  return [
    ...runtime.stages.flatMap((stage) => {
      const rows = stepRows(stage);
      return of(
        `step of ${stage.name}, ${formatCount(rows)} rows`,
        [stage.name],
        stepLoads(plan, stage, rows),
      );
    }),
    ...transitions.kvCosts.flatMap(({ from, to, links }) =>
      links.flatMap((link) => {
        // Devices of the first stage send and those of the second receive; between tiers both take part.
        const stages = arrays.has(link.from) ? [from] : arrays.has(link.to) ? [to] : [from, to];
        return of(`KV ${from} -> ${to}, a token`, stages, [link]);
      }),
    ),
    ...transitions.weights.flatMap(({ from, to, cost }) =>
      of(`weights ${from} -> ${to}`, [from, to], cost.links),
    ),
  ];
}

/** Rows of a full step: tokens where the stage prefills, else sequences. */
function stepRows({ phases, maxTokens, maxSequences }: RuntimeStage): number {
  return phases.includes('prefill') ? maxTokens : maxSequences;
}

/** Traffic of one step of the first replica: collectives go round the ring of their ranks, sends to the next stage. */
function stepLoads(plan: Plan, stage: RuntimeStage, rows: number): readonly LinkLoad[] {
  const { topology } = plan;
  const roads = roadsOf(topology);
  const [first] = stageGroups(
    { ...stage, mesh: { ...stage.mesh, dp: 1 } },
    plan,
    routesOf(topology),
    FULCRUM_ENGINE,
  );
  const size = { tokens: rows, samples: stage.maxSequences, pairs: 0, keys: 0 };
  const travels = first!.flatMap(({ devices, cost }, pp) => {
    const traffic = cost.traffic(size);
    const next = first![pp + 1]?.devices;
    return devices.flatMap((device, tp) => {
      const travel = (to: number | undefined, bytes: number): { bytes: number; road: Road }[] => {
        if (to === undefined || bytes === 0) return [];
        const road = roads.between(topology.devices[device]!.path, topology.devices[to]!.path);
        return road === undefined ? [] : [{ bytes, road }];
      };
      return [
        ...travel(devices[(tp + 1) % devices.length], ringBytes(traffic, devices.length)),
        ...travel(next?.[tp % next.length], traffic.send),
      ];
    });
  });
  return linkLoads(travels, roads.lanes);
}
