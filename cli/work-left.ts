/** How long a batch will still take, from what its requests have taken so far. */
import type { EngineStats } from '../runtime/engine/types.js';
import type { BatchProgress } from '../runtime/jobs/batch-outcomes.js';
import { formatCount, formatRate, formatSeconds } from './format.js';

export interface WorkSoFar {
  readonly progress: BatchProgress;
  readonly stats: Pick<EngineStats, 'promptTokens' | 'generatedTokens' | 'prefillSeconds' | 'decodeSeconds'>;
  /** Requests of the batch, those of earlier runs among them; undefined for a stream that has not ended. */
  readonly total?: number;
  /** Seconds since the run began. */
  readonly elapsed: number;
}

/**
 * Seconds that are left, or undefined as long as nothing can be said. Requests are taken to need as many tokens as the
 * answered ones did. A token of prefill and one of decode are weighed by the time that each took, and that time by how
 * the stages overlap: seconds left are to seconds gone as work left is to work done.
 */
export function secondsLeft({ progress, stats, total, elapsed }: WorkSoFar): number | undefined {
  const { answered, failed, resumed } = progress;
  const done = stats.prefillSeconds + stats.decodeSeconds;
  if (total === undefined || answered === 0 || done === 0) return undefined;
  if (answered + failed >= total) return 0;
  const ours = total - failed - resumed;
  const left = (tokensOfAnswered: number, tokensDone: number, seconds: number): number => {
    if (tokensDone === 0) return 0;
    const tokensLeft = Math.max(0, (ours * tokensOfAnswered) / answered - tokensDone);
    return (tokensLeft * seconds) / tokensDone;
  };
  const work =
    left(progress.promptTokens, stats.promptTokens, stats.prefillSeconds) +
    left(progress.completionTokens, stats.generatedTokens, stats.decodeSeconds);
  return (elapsed * work) / done;
}

/** What stands behind the count of requests: tokens by phase, tokens per second of the run, the time that is left. */
export function describeWork(work: WorkSoFar): string {
  const { promptTokens, generatedTokens } = work.stats;
  const left = secondsLeft(work);
  return [
    `prefill ${formatCount(promptTokens)}, decode ${formatCount(generatedTokens)} tokens`,
    formatRate(promptTokens + generatedTokens, work.elapsed),
    ...(left === undefined || left === 0 ? [] : [`about ${formatSeconds(left)} left`]),
  ].join(', ');
}
