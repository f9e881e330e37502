/** The metrics that repeat what an engine and a batch know of themselves, one table entry each. */
import type { EngineStats, EngineWork } from '../engine/types.js';
import type { BatchProgress } from '../jobs/batch-outcomes.js';

/** What is known of a run; before its devices are open, nothing is. */
export interface RunFigures {
  readonly stats?: EngineStats;
  readonly work?: EngineWork;
  readonly progress?: BatchProgress;
}

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric and how to read it. One without labels has a sample, of zero, from the start. */
export interface Figure {
  readonly name: string;
  readonly help: string;
  readonly labels: string[];
  readonly read: (figures: RunFigures) => readonly Sample[];
}

/** One value of the engine so far. */
function ofStats(name: string, help: string, value: (stats: EngineStats) => number): Figure {
  return { name, help, labels: [], read: ({ stats }) => [{ value: stats ? value(stats) : 0 }] };
}

/** Values of the engine so far by one label. */
function byLabel(
  name: string,
  help: string,
  label: string,
  values: (stats: EngineStats) => Readonly<Record<string, number>>,
): Figure {
  return {
    name,
    help,
    labels: [label],
    read: ({ stats }) =>
      Object.entries(stats ? values(stats) : {}).map(([key, value]) => ({ labels: { [label]: key }, value })),
  };
}

/** What only grows. */
export const COUNTERS: readonly Figure[] = [
  ofStats(
    'vllm:prompt_tokens_total',
    'Prompt tokens prefilled, found ones too.',
    (stats) => stats.promptTokens,
  ),
  ofStats(
    'vllm:prefix_cache_queries_total',
    'Prompt tokens looked for in the KV cache.',
    (stats) => stats.promptTokens,
  ),
  ofStats(
    'vllm:prefix_cache_hits_total',
    'Prompt tokens found in the KV cache, and not computed.',
    ({ reusedTokens: { device, host, disk } }) => device + host + disk,
  ),
  ofStats('vllm:generation_tokens_total', 'Tokens generated.', (stats) => stats.generatedTokens),
  ofStats(
    'vllm:num_preemptions_total',
    'Sequences that lost their device pages before they were done.',
    ({ tiers }) => tiers.swapped + tiers.dropped,
  ),
  {
    name: 'fulcrum_results_total',
    help: 'Requests whose result is on disk, those of earlier runs of the batch among them.',
    labels: ['outcome'],
    read: ({ progress }) => [
      { labels: { outcome: 'answered' }, value: progress?.answered ?? 0 },
      { labels: { outcome: 'failed' }, value: progress?.failed ?? 0 },
    ],
  },
  {
    name: 'fulcrum_answers_cut_total',
    help: 'Answered requests among them whose answers ended early, as the KV pools had no room for more.',
    labels: [],
    read: ({ progress }) => [{ value: progress?.cut ?? 0 }],
  },
  ofStats('fulcrum_transitions_total', 'Changes of stage on shared devices.', (stats) => stats.transitions),
  ofStats(
    'fulcrum_transition_seconds_total',
    'From a change of stage being decided to its last move being enqueued.',
    (stats) => stats.transitionSeconds,
  ),
  ofStats(
    'fulcrum_transition_exposed_seconds_total',
    'The part of it in which no kernel was known to run on the devices; an upper bound.',
    (stats) => stats.transitionExposedSeconds,
  ),
  byLabel('fulcrum_weight_bytes_total', 'Weights uploaded, by cause.', 'cause', ({ bytes }) => ({
    load: bytes.load,
    transition: bytes.weights,
  })),
  byLabel('fulcrum_kv_bytes_total', 'KV moved between tiers.', 'move', ({ bytes }) => ({
    device_to_host: bytes.kvOut,
    host_to_device: bytes.kvIn,
    host_to_disk: bytes.kvSpilled,
    disk_to_host: bytes.kvFetched,
  })),
  byLabel('fulcrum_exchange_bytes_total', 'Values exchanged between devices.', 'kind', ({ bytes }) => ({
    all_reduce: bytes.allReduce,
    all_gather: bytes.allGather,
    send: bytes.send,
  })),
  byLabel('fulcrum_steps_total', 'Steps done, by phase.', 'phase', ({ steps }) => ({ ...steps })),
  byLabel('fulcrum_step_seconds_total', 'Seconds in which a step was under way.', 'phase', (stats) => ({
    prefill: stats.prefillSeconds,
    decode: stats.decodeSeconds,
  })),
  ofStats(
    'fulcrum_schedule_seconds_total',
    "Seconds of the host's thread spent on scheduling.",
    ({ host }) => host.schedule,
  ),
  {
    name: 'fulcrum_host_seconds_total',
    help: "Seconds of the host's thread spent on steps, by phase and what for.",
    labels: ['phase', 'work'],
    read: ({ stats }) =>
      (['prefill', 'decode'] as const).flatMap((phase) =>
        Object.entries(stats?.host[phase] ?? {}).map(([work, value]) => ({ labels: { phase, work }, value })),
      ),
  },
  byLabel(
    'fulcrum_reused_tokens_total',
    'Prompt tokens found and not computed, by the tier that had their KV.',
    'tier',
    ({ reusedTokens }) => reusedTokens,
  ),
  ofStats(
    'fulcrum_copied_pages_total',
    'Device pages copied for prompts that had a part of them in common.',
    ({ copiedPages }) => copiedPages,
  ),
  byLabel(
    'fulcrum_preempted_total',
    'Preempted sequences, by whether their KV was kept or is computed again.',
    'kv',
    ({ tiers }) => ({ kept: tiers.swapped, recomputed: tiers.dropped }),
  ),
  byLabel('fulcrum_kv_failures_total', 'Moves of KV to and from disk that failed.', 'move', ({ tiers }) => ({
    host_to_disk: tiers.failedSpills,
    disk_to_host: tiers.failedFetches,
  })),
  byLabel(
    'fulcrum_kv_passed_over_total',
    'How often KV was not kept in a tier or loaded from it because computing it again is quicker.',
    'tier',
    ({ tiers }) => tiers.passedOver,
  ),
];

/** What goes up and down. */
export const GAUGES: readonly Figure[] = [
  {
    name: 'vllm:num_requests_running',
    help: 'Sequences in prefill or decode.',
    labels: [],
    read: ({ work }) => [{ value: work ? work.requests.prefilling + work.requests.running : 0 }],
  },
  {
    name: 'vllm:num_requests_waiting',
    help: 'Sequences that have not begun.',
    labels: [],
    read: ({ work }) => [{ value: work?.requests.waiting ?? 0 }],
  },
  {
    name: 'vllm:kv_cache_usage_perc',
    help: 'The share of device KV pages in use; 1 is all of them.',
    labels: [],
    read: ({ work }) => [{ value: shareInUse(work) }],
  },
  {
    name: 'fulcrum_requests',
    help: 'Sequences by where they are: `host` and `disk` hold the KV of those that wait between stages.',
    labels: ['place'],
    read: ({ work }) =>
      Object.entries(work?.requests ?? {}).map(([place, value]) => ({ labels: { place }, value })),
  },
  {
    name: 'fulcrum_kv_pages',
    help: 'KV pages there are, by tier and pool.',
    labels: ['tier', 'pool'],
    read: ({ work }) =>
      (work?.pages ?? []).map(({ tier, pool, total }) => ({ labels: { tier, pool }, value: total })),
  },
  {
    name: 'fulcrum_kv_pages_used',
    help: 'KV pages in use, by tier and pool.',
    labels: ['tier', 'pool'],
    read: ({ work }) =>
      (work?.pages ?? []).map(({ tier, pool, used }) => ({ labels: { tier, pool }, value: used })),
  },
  byLabel(
    'fulcrum_peak_memory_bytes',
    'Most bytes of live buffers so far.',
    'device',
    (stats) => stats.peakMemory,
  ),
];

function shareInUse(work: EngineWork | undefined): number {
  const pages = work?.pages.filter(({ tier }) => tier === 'device') ?? [];
  const total = pages.reduce((sum, pool) => sum + pool.total, 0);
  return total === 0 ? 0 : pages.reduce((sum, pool) => sum + pool.used, 0) / total;
}
