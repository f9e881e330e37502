/**
 * Beside the weights there is room for the KV of at least one sequence: the longest that a workload of the file
 * asks for, or a microbatch where there is none. Less room than a full context is a warning.
 *
 * Workloads that the file imports count for nothing here, though `mesh auto` may go by them: that is a choice among
 * plans, while an error here would refuse this one to all, also to those who run it with other workloads.
 */
import { report } from '../../diagnostics/catalogue.js';
import { kvView, mostPages } from '../../model/kv-window.js';
import { meshPlace } from '../../plan/mesh-place.js';
import { hasLengths, typicalLength, type Workload } from '../../plan/workload.js';
import { kvBytesPerToken, weightBytes } from '../plan/capacity.js';
import { formatBinaryBytes, formatBytes, formatQuantity } from '../units.js';
import type { Rule } from './rule.js';
import { smallestDevice } from './weights-fit.js';

export const kvFits: Rule = ({ plan, workloads }) =>
  plan.stages.flatMap((stage) => {
    const { shape, weights } = plan.model;
    const device = smallestDevice(plan, stage);
    const budget = device.kind.memory * plan.memoryUse;
    const held = weightBytes(shape, weights, stage);
    const perToken = kvBytesPerToken(shape, plan.kv.dtype, stage);
    const tokensOf = held.map((bytes, i) => (budget - bytes) / perToken[i]!);
    const tightest = tokensOf.indexOf(Math.min(...tokensOf));
    const room = budget - held[tightest]!;
    if (room < 0) return [];
    const tokens = Math.floor(tokensOf[tightest]!);
    const one = perToken[tightest]!;
    // Where every layer sees a window, a longer sequence takes no more than that.
    const { pageTokens } = plan.kv;
    const most = mostPages(kvView(shape, pageTokens), shape.context, 1) * pageTokens;
    const all = Math.min(shape.context, most);
    const needed = Math.min(all, longest(workloads) ?? stage.microbatchTokens);
    const notes = [
      `${formatBinaryBytes(room)} = memory ${formatBytes(device.kind.memory)} x memory_use ${formatQuantity(plan.memoryUse, 'fraction')} - weights ${formatBinaryBytes(held[tightest]!)}`,
      `${formatBinaryBytes(one)} of KV per token on the rank with the least room`,
    ];
    const helps = ['a larger `tp` or `pp` leaves more room', 'a smaller `dtype` in `kv` needs less'];
    const around = { ...meshPlace(plan, stage), notes, helps };
    if (tokens < needed)
      return [
        report(
          'kv-does-not-fit',
          {
            stage: stage.name,
            room: formatBinaryBytes(room),
            needed: formatBinaryBytes(needed * one),
            tokens: needed,
          },
          around,
        ),
      ];
    if (tokens < all)
      return [report('kv-tight', { stage: stage.name, tokens, context: shape.context }, around)];
    return [];
  });

/** Tokens of the longest sequence that the file's workloads speak of. */
function longest(workloads: readonly Workload[]): number | undefined {
  const lengths = workloads
    .filter(hasLengths)
    .map(({ requests: { prompt, output } }) => typicalLength(prompt) + typicalLength(output));
  return lengths.length === 0 ? undefined : Math.max(...lengths);
}
