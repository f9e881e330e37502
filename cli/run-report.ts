/** What a run has to say for itself when it ends: rows of a table for people. */
import type { EngineStats } from '../runtime/engine/types.js';
import { formatBytes, formatCount, formatRate, formatSeconds } from './format.js';
import { describeReuse } from './reuse.js';
import type { PlanRun } from './run-plan.js';

type Row = readonly [name: string, value: string];

/** The figures of a run: speed, what was reused, transitions, bytes moved by kind, peak memory per device. */
export function runFigures({ stats, seconds }: Pick<PlanRun, 'stats' | 'seconds'>): readonly Row[] {
  const { bytes } = stats;
  const speed = (tokens: number, busy: number): string =>
    `${formatCount(tokens)} tokens in ${formatSeconds(busy)}, ${formatRate(tokens, busy)}`;
  const switching =
    stats.transitions === 0
      ? ''
      : `, ${formatSeconds(stats.transitionSeconds)} in all, ${formatSeconds(stats.transitionExposedSeconds)} exposed`;
  const moved: readonly (readonly [string, number])[] = [
    ['weights', bytes.weights],
    ['KV out', bytes.kvOut],
    ['KV in', bytes.kvIn],
    ...(bytes.kvSpilled + bytes.kvFetched > 0
      ? ([
          ['KV to disk', bytes.kvSpilled],
          ['KV from disk', bytes.kvFetched],
        ] as const)
      : []),
    ['all-reduce', bytes.allReduce],
    ...(bytes.allGather > 0 ? ([['all-gather', bytes.allGather]] as const) : []),
    ['send', bytes.send],
  ];
  const peaks = Object.entries(stats.peakMemory).map(([device, peak]) => `${device} ${formatBytes(peak)}`);
  return [
    ['prefill', speed(stats.promptTokens, stats.prefillSeconds)],
    ...reuseLines(stats),
    ['decode', speed(stats.generatedTokens, stats.decodeSeconds)],
    ['transitions', `${formatCount(stats.transitions)}${switching}`],
    ['bytes moved', moved.map(([kind, count]) => `${kind} ${formatBytes(count)}`).join(', ')],
    ...tierLines(stats),
    ['peak memory', peaks.join(', ') || 'none'],
    ['total', formatSeconds(seconds)],
  ];
}

function reuseLines({ promptTokens, reusedTokens, copiedPages }: EngineStats): readonly Row[] {
  const text = describeReuse(promptTokens, reusedTokens, copiedPages, 'these tokens');
  return text === undefined ? [] : [['prefix reuse', text]];
}

/** What became of KV that left its devices before it was done with; nothing to say in most runs. */
function tierLines({ tiers }: EngineStats): readonly Row[] {
  const events: readonly (readonly [number, string])[] = [
    [tiers.swapped, 'sequences swapped out'],
    [tiers.dropped, 'dropped and computed again'],
    [tiers.failedSpills, 'not written to disk'],
    [tiers.failedFetches, 'not read from disk and computed again'],
  ];
  const slow = (['host', 'disk'] as const).filter((tier) => tiers.passedOver[tier] > 0);
  const parts = [
    ...events.filter(([count]) => count > 0).map(([count, what]) => `${formatCount(count)} ${what}`),
    ...slow.map((tier) => `the ${tier} tier passed over, being slower than computing again`),
  ];
  return parts.length === 0 ? [] : [['KV tiers', parts.join(', ')]];
}
