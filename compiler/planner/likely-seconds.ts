/** Rough estimates of the seconds of a demand, by the arithmetic of its bound. No bounds. */
import type { BoundedPlan } from './bounded-plan.js';
import { disaggregatedSeconds } from './disaggregated-seconds.js';
import { promptsOf, rowsOf, type Demand } from './demand.js';
import { SIDE_BY_SIDE_MARGIN } from './estimate-margins.js';
import { fusedSeconds } from './fused-seconds.js';
import { busiestSeconds, leastSeconds } from './least-seconds.js';
import type { PhaseSeconds } from './likely-between.js';
import { decodeWork, rowsOfLongest, sum, type StageLoad } from './stage-load.js';

/**
 * Estimated seconds of the demand where prompts and decode go on side by side: all of the work, and behind it the
 * tokens of a last request while the devices still decode others, but where rounds in order of arrival have these in
 * them.
 */
export function likelySeconds(plan: BoundedPlan, demand: Demand, begun: boolean): number {
  const evenly = dealtEvenly(plan);
  const busy = busiestSeconds(evenly, demand, begun);
  const { inOrder } = demand;
  if (inOrder === undefined) return busy + tailSeconds(evenly.decode, evenly.room, demand);
  const sideBySide = evenly.prefill === evenly.decode ? fusedSeconds : disaggregatedSeconds;
  return Math.max(busy, sideBySide(evenly, demand, inOrder) * SIDE_BY_SIDE_MARGIN);
}

/** Estimated seconds of each phase by itself. */
export function likelyPhases(plan: BoundedPlan, demand: Demand, begun: boolean): PhaseSeconds {
  const evenly = dealtEvenly(plan);
  const prompts = leastSeconds(evenly, promptsOf(demand), begun);
  return { prompts, rows: leastSeconds(evenly, rowsOf(demand), true) };
}

/** Estimated seconds of decoding the longest answer token by token, in full steps. */
export function tailSeconds(decode: StageLoad, room: number, demand: Demand): number {
  const { decodeRows, decodeKeys } = demand;
  if (decodeRows === 0) return 0;
  const rows = decodeWork(decode, room, demand).inStep;
  return rowsOfLongest(demand) * sum(decode.costs.rowsStep(rows, decodeKeys / decodeRows));
}

/** The plan as estimates see it: costs are means over replicas, and work is spread evenly. */
function dealtEvenly(plan: BoundedPlan): BoundedPlan {
  const { prefill, decode } = plan;
  const inTheMean = (load: StageLoad): StageLoad => ({ ...load, costs: load.meanCosts });
  const first = inTheMean(prefill);
  return { ...plan, evenly: true, prefill: first, decode: decode === prefill ? first : inTheMean(decode) };
}
