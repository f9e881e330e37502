/** The flow as a diagram: requests, stages and results, the tiers that KV takes its way through, and changes of stage. */
import type { CompileResult } from '../../compiler/compile.js';
import { showCondition } from '../../compiler/check/plan/flow.js';
import { printMesh } from '../../compiler/ir/print.js';
import type { RuntimeGraph, RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { formatTime, reportReshard } from '../../compiler/reshard/describe.js';
import { formatBytes, formatCount } from '../format.js';
import { rangesOf } from '../../compiler/plan/ranges.js';
import type { Diagram, DiagramEdge, DiagramNode } from './diagram.js';

/** The diagram of a plan's flow. */
export function flowDiagram(plan: Plan, { runtime, transitions }: CompileResult): Diagram {
  const stages = runtime.flow.stages.map((name) => runtime.stages.find((stage) => stage.name === name)!);
  const turns = runtime.transitions.map(({ from, to }): DiagramEdge => {
    const rules = runtime.flow.rules.filter((rule) => rule.to === to);
    const reshard = transitions.weights.find((each) => each.from === from && each.to === to);
    const report = reshard && reportReshard(reshard);
    return {
      from,
      to,
      label: [
        ...rules.map(({ when }) => `when ${showCondition(when)}`),
        ...(report
          ? [`weights: ${formatBytes(report.linkBytes)} over links, ${formatTime(report.seconds)}`]
          : []),
      ],
      kind: 'turns',
    };
  });
  const tiers = tierNodes(runtime);
  return {
    title: `${plan.name}: ${plan.model.name} on ${plan.topology.name}`,
    caption: 'Solid: the way of requests and their KV. Dashed: devices change stage.',
    items: [
      { id: REQUESTS, kind: 'end', title: 'requests', lines: [] },
      ...stages
        .filter(({ phases }) => phases.includes('prefill'))
        .map((stage) => stageNode(plan, runtime, stage)),
      ...tiers,
      ...stages
        .filter(({ phases }) => !phases.includes('prefill'))
        .map((stage) => stageNode(plan, runtime, stage)),
      { id: RESULTS, kind: 'end', title: 'results', lines: [] },
    ],
    edges: [
      ...stages
        .filter(({ phases }) => phases.includes('prefill'))
        .map(({ name }): DiagramEdge => ({ from: REQUESTS, to: name, label: [], kind: 'flow' })),
      ...handOvers(runtime),
      ...tierEdges(runtime, stages),
      ...stages
        .filter(({ phases }) => phases.includes('decode'))
        .map(({ name }): DiagramEdge => ({ from: name, to: RESULTS, label: [], kind: 'flow' })),
      ...turns,
    ],
  };
}

/** Ids that no stage can have: names have no blanks. */
const REQUESTS = 'all requests';
const RESULTS = 'all results';
const HOST = 'host tier';
const DISK = 'disk tier';

function tierNodes({ hostTier, diskTier, kv }: RuntimeGraph): readonly DiagramNode[] {
  if (hostTier === undefined) return [];
  const room = (pages: number): readonly string[] => [
    `KV of ${formatCount(pages * kv.pageTokens)} tokens`,
    `${formatCount(pages)} pages, ${formatBytes(pages * hostTier.pageBytes)}`,
  ];
  return [
    { id: HOST, kind: 'host', title: hostTier.name, lines: room(hostTier.pages) },
    ...(diskTier
      ? [{ id: DISK, kind: 'disk', title: diskTier.name, lines: room(diskTier.pages) } as const]
      : []),
  ];
}

/** KV from stage to stage. One that hands to several puts what it hands over into the host tier once. */
function handOvers({ hostTier, kv }: RuntimeGraph): readonly DiagramEdge[] {
  const edges = kv.edges.flatMap(({ from, to, path, bytesPerToken }): DiagramEdge[] => {
    if (path === 'shared' || hostTier === undefined)
      return [{ from, to, label: ['the same KV pages'], kind: 'flow' }];
    const perToken = (bytes: number): readonly string[] => [`KV, ${formatBytes(bytes)} a token`];
    return [
      { from, to: HOST, label: perToken(bytesPerToken.out), kind: 'flow' },
      { from: HOST, to, label: perToken(bytesPerToken.in), kind: 'flow' },
    ];
  });
  return [...new Map(edges.map((edge) => [JSON.stringify(edge), edge])).values()];
}

/** KV that leaves for want of room and comes back: what is preempted, half prefilled or decoding, and what is spilled. */
function tierEdges(
  { hostTier, diskTier }: RuntimeGraph,
  stages: readonly RuntimeStage[],
): readonly DiagramEdge[] {
  if (hostTier === undefined) return [];
  return [
    ...stages.map(({ name }): DiagramEdge => {
      return { from: name, to: HOST, label: ['preempted'], kind: 'swaps' };
    }),
    ...(diskTier
      ? ([
          { from: HOST, to: DISK, label: ['spilled when full'], kind: 'flow' },
          { from: DISK, to: HOST, label: ['fetched ahead of need'], kind: 'flow' },
        ] as const)
      : []),
  ];
}

function stageNode(plan: Plan, { pools, kv }: RuntimeGraph, stage: RuntimeStage): DiagramNode {
  const pool = pools.find(({ id }) => id === stage.pool)!;
  const paths = stage.ranks.map(({ device }) => plan.topology.devices[device]!.path);
  const phases = stage.phases.join(' + ');
  return {
    id: stage.name,
    kind: 'stage',
    title: `${stage.name} ${printMesh(stage.mesh)}`,
    lines: [
      ...(phases === stage.name ? [] : [phases]),
      rangesOf(paths),
      `steps of ${formatCount(stage.maxTokens)} tokens`,
      ...(stage.phases.includes('decode') ? [`${formatCount(stage.batchRequests)} requests at once`] : []),
      `KV of ${formatCount(pool.pages * kv.pageTokens)} tokens a replica`,
    ],
  };
}
