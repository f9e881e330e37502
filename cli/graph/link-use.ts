/**
 * What links carry by the compiled plan: in one full step of one replica of each stage, for a token of KV on an edge of
 * the flow, and in a change of stage; and what a token of a stage puts on them.
 */
import { engineOf } from '../../compiler/cost/engine-model.js';
import type { StepSize } from '../../compiler/cost/kernel-work.js';
import { ringBytes } from '../../compiler/cost/links.js';
import type { ProgramTraffic } from '../../compiler/cost/program-cost.js';
import type { CompileResult } from '../../compiler/compile.js';
import { groupBy } from '../../compiler/group-by.js';
import type { RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type { LinkLoad } from '../../compiler/ir/transitions.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { parsePath } from '../../compiler/plan/places.js';
import { linkLoads, type RoadBytes } from '../../compiler/reshard/link-loads.js';
import { roadsOf, type Roads } from '../../compiler/reshard/roads.js';
import { stageGroups, type StageGroup } from '../../runtime/clock/stage-clock.js';
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
  const roads = roadsOf(plan.topology);
  const one = { ...stage, mesh: { ...stage.mesh, dp: 1 } };
  const [first] = stageGroups(one, plan, roads.routes, engineOf(plan.topology));
  const size = { tokens: rows, samples: stage.maxSequences, pairs: 0, keys: 0 };
  return linkLoads(stepTravels(first!, size, roads), roads.lanes);
}

/** Bytes that a token of a stage puts on a link, one way. */
export interface TokenLoad extends Pick<LinkLoad, 'link' | 'from' | 'to' | 'bytes'> {
  readonly exchange: Exchange;
}

/**
 * Traffic of a token over all pipeline stages of a replica, by what exchanges it and over which link; the mean of the
 * replicas, whose devices may be joined by other links.
 */
export function tokenLoads(plan: Plan, stage: RuntimeStage): readonly TokenLoad[] {
  const roads = roadsOf(plan.topology);
  const size = { tokens: 1, samples: 0, pairs: 0, keys: 0 };
  const travels = stageGroups(stage, plan, roads.routes, engineOf(plan.topology)).flatMap((replica) =>
    stepTravels(replica, size, roads),
  );
  return [...groupBy(travels, (travel) => travel.exchange)].flatMap(([exchange, own]) =>
    linkLoads(own, roads.lanes).map(({ link, from, to, bytes }) => {
      return { exchange, link, from, to, bytes: bytes / stage.mesh.dp };
    }),
  );
}

/** What ranks of a stage pass on in a step. */
type Exchange = keyof ProgramTraffic;

interface Travel extends RoadBytes {
  readonly exchange: Exchange;
}

/** What the groups of a replica send in one step. */
function stepTravels(replica: readonly StageGroup[], size: StepSize, roads: Roads): readonly Travel[] {
  return replica.flatMap(({ devices, cost }, pp) => {
    const { allReduce, allGather, send } = cost.traffic(size);
    const next = replica[pp + 1]?.devices;
    return devices.flatMap((device, tp) => {
      const travel = (exchange: Exchange, to: number | undefined, bytes: number): readonly Travel[] => {
        if (to === undefined || bytes === 0) return [];
        const road = roads.betweenDevices(device, to);
        return road === undefined ? [] : [{ exchange, bytes, road }];
      };
      const [neighbour, ranks] = [devices[(tp + 1) % devices.length], devices.length];
      return [
        ...travel('allReduce', neighbour, ringBytes({ allReduce, allGather: 0 }, ranks)),
        ...travel('allGather', neighbour, ringBytes({ allReduce: 0, allGather }, ranks)),
        ...travel('send', next?.[tp % next.length], send),
      ];
    });
  });
}
