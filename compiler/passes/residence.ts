/**
 * Whether the weights of both stages stay on devices that two stages share, or take turns.
 *
 * Resident together, a change of stage moves no weights; in turns, there is more room for KV. A plan may say which
 * (`residence: both`, `residence: switch`). Left to the compiler (`auto`), both stay where everything fits and what
 * a cycle of transitions would take is more than what the smaller KV pool costs in that cycle. A cycle fills the tiers
 * behind the devices once and decodes what is in them; sequences are taken to be as long as the context, half of it output, and a
 * decode step to last as long as reading the weights. Where the pool still holds the whole batch, room costs nothing.
 * Where not all weights are worth it, some layers may be: see `kept-layers.ts`.
 */
import { formatBinaryBytes } from '../check/units.js';
import type { KvPool, RuntimeDevice } from '../ir/runtime-graph.js';
import type { Plan, Stage } from '../plan/plan.js';
import { formatTime } from '../reshard/describe.js';
import type { MovesEstimate } from '../reshard/estimate-moves.js';
import { diskPages, mostHostPages } from './host-room.js';
import { decodingPages } from './kv-pools.js';

/** How device memory turns out under one of the choices. */
export interface MemoryLayout {
  readonly devices: readonly RuntimeDevice[];
  readonly pools: readonly KvPool[];
}

export interface ResidenceDecision {
  readonly both: boolean;
  /** In words, with the figures that decided. */
  readonly why: string;
}

/**
 * Decides for all stages of a plan that re-shard.
 *
 * @param estimate what their transitions would take
 * @param together absent when the plan says `switch`
 */
export function decideResidence(
  plan: Plan,
  estimate: () => readonly Pick<MovesEstimate, 'seconds'>[],
  inTurns: MemoryLayout,
  together: MemoryLayout | undefined,
): ResidenceDecision {
  if (!together) return { both: false, why: 'the plan says `residence: switch`' };
  if (plan.residence === 'both') return { both: true, why: 'the plan says `residence: both`' };
  const unfit = whyUnfit(plan, together);
  if (unfit) return { both: false, why: `both ${unfit}` };
  const gain = estimate().reduce((sum, { seconds }) => sum + seconds, 0);
  const loss = cyclePoolLoss(plan, inTurns, together);
  const figures =
    `a cycle of transitions takes ${formatTime(gain)}, ` +
    `the smaller KV pool costs ${loss === 0 ? 'nothing' : formatTime(loss)}`;
  return { both: gain > loss, why: figures };
}

/** Why a plan cannot run with memory laid out so, undefined when it can. */
export function whyUnfit(plan: Plan, { devices, pools }: MemoryLayout): string | undefined {
  const over = devices.find(({ peak, budget }) => peak.weights + peak.workspace > budget);
  if (over) {
    const needed = formatBinaryBytes(over.peak.weights + over.peak.workspace);
    return `need ${needed} on \`${over.path}\`, which may use ${formatBinaryBytes(over.budget)}`;
  }
  const tight = pools.find((pool) => pool.pages < decodingPages(plan));
  return tight && `leave KV room for ${tight.pages * plan.kv.pageTokens} tokens only, less than the context`;
}

/** Seconds that all stages decode longer in a cycle of transitions for the pools of `together`. */
export function cyclePoolLoss(plan: Plan, inTurns: MemoryLayout, together: MemoryLayout): number {
  return plan.stages
    .filter((stage) => stage.phases.includes('decode'))
    .reduce((sum, stage) => sum + decodeLoss(plan, stage, inTurns, together), 0);
}

/** Seconds that a stage decodes longer in a cycle because its pool holds fewer sequences. */
function decodeLoss(plan: Plan, stage: Stage, inTurns: MemoryLayout, together: MemoryLayout): number {
  const perSequence = decodingPages(plan);
  const { dp } = stage.mesh;
  const batch = ({ pools }: MemoryLayout): number => {
    const pages = pools.find((pool) => pool.stages.includes(stage.name))?.pages ?? 0;
    return Math.min(stage.batchRequests / dp, pages / perSequence);
  };
  const waiting = (mostHostPages(plan) + diskPages(plan)) / perSequence / dp;
  const sequences = Math.max(waiting, batch(inTurns));
  const steps = (layout: MemoryLayout): number =>
    (sequences / batch(layout)) * (plan.model.shape.context / 2);
  const more = steps(together) - steps(inTurns);
  return more === 0 ? 0 : more * stepSeconds(plan, stage, inTurns);
}

/** Time to read the weights of the fullest device once. */
function stepSeconds(plan: Plan, stage: Stage, { devices }: MemoryLayout): number {
  const held = new Map(devices.map(({ id, peak }) => [id, peak.weights]));
  const seconds = stage.devices.map((id) => {
    const { bandwidth, sustained } = plan.topology.devices[id]!.kind;
    return (held.get(id) ?? 0) / (bandwidth * sustained.bandwidth);
  });
  return Math.max(0, ...seconds);
}
