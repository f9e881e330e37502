/** Questions about lanes: what they have to do, what they need, which of them is the least busy. */
import { firstPageSeen } from '../../compiler/model/kv-window.js';
import { isResident, pagesFor } from './machine.js';
import type { Lane, Machine, StageState } from './machine.js';
import { positionsFrom } from './page-table.js';
import { spanCost } from './prefix.js';
import type { Span } from './prefix.js';
import { knownTokens } from './sequences.js';
import type { Sequence } from './sequences.js';

/** Lanes that take prompts now. */
export function openLanes(machine: Machine): readonly Lane[] {
  const open = machine.stages.filter(
    (stage) => stage.prefills && isResident(stage) && stage.group.leavingTo === undefined,
  );
  return open.length === 1 ? open[0]!.lanes : open.flatMap((stage) => stage.lanes);
}

export function unscheduledTokens(lane: Lane): number {
  return lane.prefilling.reduce((sum, sequence) => sum + sequence.target - sequence.scheduled, 0);
}

/** Whether a switch lies between the stage and the decode of what it prefills. */
export function takesTurns(stage: StageState): boolean {
  return stage.group.stages.some(
    (other) => other.decodes && other.config.residence !== stage.config.residence,
  );
}

/** Whether the lane, when it has prefilled the sequence, hands it over through the host tier. */
export function handsOver(lane: Lane, sequence: Sequence): boolean {
  return lane.local === undefined && sequence.maxNewTokens - sequence.generated > 1;
}

/** Free host pages that a waiting sequence uses up when it is let in on the lane. */
export function hostPagesNeeded(machine: Machine, lane: Lane, sequence: Sequence): number {
  return spanCost(sequence, machine.host.claims, spanToHandOver(machine, lane, sequence));
}

/**
 * Positions of host pages that a sequence still lacks for what the lane hands over of it: what its first row in decode
 * sees.
 */
export function positionsToHandOver(machine: Machine, lane: Lane, sequence: Sequence): number[] {
  const { first, end } = spanToHandOver(machine, lane, sequence);
  return positionsFrom(first, end);
}

function spanToHandOver(machine: Machine, lane: Lane, sequence: Sequence): Span {
  if (!handsOver(lane, sequence)) return { first: 0, end: 0 };
  const tokens = knownTokens(sequence);
  const first = firstPageSeen(machine.config, tokens);
  // It holds neighbouring ones, from no later on.
  const held = sequence.hostPages.length;
  return { first: Math.max(first, held), end: pagesFor(machine, tokens) };
}

/** The lane with the least load; among equals the one with most free pages, then the first. */
export function leastLoaded(lanes: readonly Lane[], load: (lane: Lane) => number): Lane | undefined {
  let best: Lane | undefined;
  let bestLoad = 0;
  for (const lane of lanes) {
    const laneLoad = load(lane);
    const better =
      best === undefined ||
      laneLoad < bestLoad ||
      (laneLoad === bestLoad && lane.pool.pages.free() > best.pool.pages.free());
    if (better) {
      best = lane;
      bestLoad = laneLoad;
    }
  }
  return best;
}
