/**
 * The metrics of a run in the Prometheus text format. What vLLM measures too has vLLM's name, labels and buckets
 * (vllm/v1/metrics/loggers.py), so that dashboards made for it show a run as well; what is ours begins with
 * `fulcrum_`. docs/observing.md lists all of them.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Engine, EngineRequest, EngineStats, EngineWork, FinishReason } from '../engine/types.js';
import type { BatchProgress } from '../jobs/batch-outcomes.js';
import { COUNTERS, GAUGES, type RunFigures } from './figures.js';

export interface RunMetrics {
  /** The engine with its requests timed; its figures are those of the metrics from now on. */
  readonly observe: (engine: Engine) => Engine;
  /** What has become of the requests of the file so far. */
  readonly progress: (progress: BatchProgress) => void;
  readonly contentType: string;
  /** All metrics as they stand, in the text exposition format. */
  readonly text: () => Promise<string>;
}

export interface RunMetricsOptions {
  readonly model: string;
  readonly plan: string;
  /** Longest sequence in tokens: the last bucket of token counts. */
  readonly context: number;
  /** Milliseconds. */
  readonly now?: () => number;
}

/** Upper bounds of buckets in seconds. */
const FIRST_TOKEN = [
  ...[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75],
  ...[1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560],
];
const BETWEEN_TOKENS = [
  ...[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75],
  ...[1, 2.5, 5, 7.5, 10, 20, 40, 80],
];
const WHOLE_REQUEST = [
  ...[0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60],
  ...[120, 240, 480, 960, 1920, 7680],
];

/** 1, 2, 5, 10, 20, 50 … up to `most`, which may lie between. */
export function tokenBuckets(most: number): number[] {
  const buckets: number[] = [];
  for (let decade = 1; ; decade *= 10) {
    for (const digit of [1, 2, 5]) {
      if (digit * decade > most) return buckets;
      buckets.push(digit * decade);
    }
  }
}

/** Metrics of a run of which nothing is known yet: every counter stands at zero. */
export function createRunMetrics(options: RunMetricsOptions): RunMetrics {
  const now = options.now ?? (() => performance.now());
  const registry = new Registry();
  // vLLM numbers its engines; a run has one.
  registry.setDefaultLabels({ model_name: options.model, engine: '0' });
  const registers = [registry];
  let engine: { readonly stats: () => EngineStats; readonly work: () => EngineWork } | undefined;
  let progress: BatchProgress | undefined;
  const figures = (): RunFigures => ({
    ...(engine === undefined ? {} : { stats: engine.stats(), work: engine.work() }),
    ...(progress === undefined ? {} : { progress }),
  });

  for (const { name, help, labels, read } of COUNTERS) {
    const counter = new Counter({ name, help, labelNames: labels, registers, collect });
    function collect(): void {
      counter.reset();
      for (const { value, ...sample } of read(figures())) counter.inc(sample.labels ?? {}, value);
    }
  }
  for (const { name, help, labels, read } of GAUGES) {
    const gauge = new Gauge({ name, help, labelNames: labels, registers, collect });
    function collect(): void {
      gauge.reset();
      for (const { value, ...sample } of read(figures())) gauge.set(sample.labels ?? {}, value);
    }
  }
  new Gauge({
    name: 'fulcrum_run_info',
    help: 'Always 1; its label says which plan runs.',
    labelNames: ['plan'],
    registers,
  }).set({ plan: options.plan }, 1);
  const succeeded = new Counter({
    name: 'vllm:request_success_total',
    help: 'Sequences that ended, by why they did.',
    labelNames: ['finished_reason'],
    registers,
  });
  for (const reason of ['stop', 'length'] satisfies FinishReason[]) {
    succeeded.inc({ finished_reason: reason }, 0);
  }
  const histogram = (name: string, help: string, buckets: number[]): Histogram =>
    new Histogram({ name, help, buckets, registers });
  const firstToken = histogram(
    'vllm:time_to_first_token_seconds',
    'From a sequence being handed to the engine to its first token.',
    FIRST_TOKEN,
  );
  const betweenTokens = histogram(
    'vllm:inter_token_latency_seconds',
    'Between two tokens of a sequence.',
    BETWEEN_TOKENS,
  );
  const whole = histogram(
    'vllm:e2e_request_latency_seconds',
    'From a sequence being handed to the engine to its end.',
    WHOLE_REQUEST,
  );
  const tokens = tokenBuckets(options.context);
  const promptTokens = histogram('vllm:request_prompt_tokens', 'Tokens of the prompt, by sequence.', tokens);
  const generated = histogram('vllm:request_generation_tokens', 'Tokens generated, by sequence.', tokens);

  const timed = (request: EngineRequest): EngineRequest => {
    const arrived = now();
    let last = arrived;
    let count = 0;
    return {
      ...request,
      onToken: (token) => {
        const at = now();
        (count++ === 0 ? firstToken : betweenTokens).observe((at - last) / 1000);
        last = at;
        return request.onToken(token);
      },
      onFinish: (reason) => {
        succeeded.inc({ finished_reason: reason });
        whole.observe((now() - arrived) / 1000);
        promptTokens.observe(request.promptIds.length);
        generated.observe(count);
        request.onFinish(reason);
      },
    };
  };
  return {
    observe: (observed) => {
      engine = observed;
      return { ...observed, submit: (request) => observed.submit(timed(request)) };
    },
    progress: (now) => (progress = now),
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
}
