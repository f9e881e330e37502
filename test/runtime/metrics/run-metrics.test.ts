import { describe, expect, it } from 'vitest';
import type { Engine, EngineStats, EngineWork } from '../../../runtime/engine/types.js';
import { createRunMetrics, tokenBuckets } from '../../../runtime/metrics/run-metrics.js';
import { parseExposition } from '../../fixtures/exposition.js';
import { fakeEngine } from '../../fixtures/fake-engine.js';

const SAMPLING = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 1, topLogprobs: 0, logprobs: false };

/** Submits a request with a prompt of `prompt` tokens that may have `answer` more. */
function submit(engine: Engine, prompt: number, answer: number, stopIds: readonly number[] = []): void {
  engine.submit({
    promptIds: Array.from({ length: prompt }, () => 1),
    maxNewTokens: answer,
    stopIds,
    sampling: SAMPLING,
    onToken: () => false,
    onFinish: () => undefined,
    onError: () => undefined,
  });
}

describe('metrics of a run', () => {
  it('are complete before anything is known, with every counter at zero', async () => {
    const metrics = createRunMetrics({ model: 'm"1\\', plan: 'p', context: 64 });
    const { types, value } = parseExposition(await metrics.text());
    const labels = { model_name: 'm\\"1\\\\', engine: '0' };
    expect(value('vllm:prompt_tokens_total', labels)).toBe(0);
    expect(value('vllm:request_success_total', { ...labels, finished_reason: 'length' })).toBe(0);
    expect(value('vllm:num_requests_running', labels)).toBe(0);
    expect(value('fulcrum_run_info', { plan: 'p' })).toBe(1);
    expect(types.get('vllm:generation_tokens_total')).toBe('counter');
    expect(types.get('vllm:num_requests_waiting')).toBe('gauge');
    expect(types.get('vllm:e2e_request_latency_seconds')).toBe('histogram');
  });

  it('time every sequence from its submission', async () => {
    let clock = 0;
    const metrics = createRunMetrics({ model: 'm', plan: 'p', context: 64, now: () => clock });
    const ids = [5, 6, 7, 8];
    // A round takes 30 ms, and the first token comes in the first.
    const engine = metrics.observe(
      fakeEngine(
        () => ids.map((id) => ({ id })),
        () => (clock += 30),
      ),
    );
    submit(engine, 3, 4);
    submit(engine, 7, 4, [6]);
    await engine.run();
    const { value } = parseExposition(await metrics.text());
    const within = (name: string, le: string) => value(`${name}_bucket`, { le });
    expect(value('vllm:request_success_total', { finished_reason: 'length' })).toBe(1);
    expect(value('vllm:request_success_total', { finished_reason: 'stop' })).toBe(1);
    expect(within('vllm:time_to_first_token_seconds', '0.02')).toBe(0);
    expect(within('vllm:time_to_first_token_seconds', '0.04')).toBe(2);
    expect(value('vllm:inter_token_latency_seconds_count')).toBe(4);
    expect(value('vllm:inter_token_latency_seconds_sum')).toBeCloseTo(0.12);
    expect(value('vllm:e2e_request_latency_seconds_sum')).toBeCloseTo(0.12 + 0.06);
    expect(value('vllm:request_prompt_tokens_sum')).toBe(10);
    expect(value('vllm:request_generation_tokens_sum')).toBe(6);
    expect(within('vllm:request_generation_tokens', '2')).toBe(1);
  });

  it('repeat what the engine and the batch know at the time', async () => {
    const metrics = createRunMetrics({ model: 'm', plan: 'p', context: 64 });
    const engine = fakeEngine(() => []);
    let stats: EngineStats = engine.stats();
    const work: EngineWork = {
      requests: { waiting: 5, prefilling: 2, running: 3, moving: 1, host: 4, disk: 0 },
      pages: [
        { tier: 'device', pool: 'a 0', total: 10, used: 5 },
        { tier: 'device', pool: 'b 0', total: 30, used: 25 },
        { tier: 'host', pool: 'host', total: 100, used: 0 },
      ],
    };
    metrics.observe({ ...engine, stats: () => stats, work: () => work });
    stats = {
      ...stats,
      promptTokens: 12,
      transitions: 3,
      bytes: { ...stats.bytes, kvOut: 400, kvFetched: 7, weights: 9 },
      tiers: { ...stats.tiers, swapped: 2, dropped: 1 },
      peakMemory: { 'gpu[0]': 99 },
    };
    metrics.progress({
      read: 9,
      readAll: true,
      answered: 4,
      failed: 1,
      cut: 3,
      resumed: 2,
      promptTokens: 0,
      completionTokens: 0,
    });
    // Read twice: what repeats totals must not add them up.
    await metrics.text();
    const { value } = parseExposition(await metrics.text());
    expect(value('vllm:prompt_tokens_total')).toBe(12);
    expect(value('vllm:num_preemptions_total')).toBe(3);
    expect(value('vllm:num_requests_running')).toBe(5);
    expect(value('vllm:num_requests_waiting')).toBe(5);
    expect(value('vllm:kv_cache_usage_perc')).toBe(0.75);
    expect(value('fulcrum_requests')).toBe(15);
    expect(value('fulcrum_transitions_total')).toBe(3);
    expect(value('fulcrum_kv_bytes_total', { move: 'device_to_host' })).toBe(400);
    expect(value('fulcrum_kv_bytes_total', { move: 'disk_to_host' })).toBe(7);
    expect(value('fulcrum_weight_bytes_total', { cause: 'transition' })).toBe(9);
    expect(value('fulcrum_kv_pages', { tier: 'device' })).toBe(40);
    expect(value('fulcrum_kv_pages_used', { pool: 'b 0' })).toBe(25);
    expect(value('fulcrum_peak_memory_bytes', { device: 'gpu[0]' })).toBe(99);
    expect(value('fulcrum_results_total', { outcome: 'answered' })).toBe(4);
    expect(value('fulcrum_answers_cut_total')).toBe(3);
  });

  it('count tokens in steps of 1, 2 and 5', () => {
    expect(tokenBuckets(64)).toEqual([1, 2, 5, 10, 20, 50]);
    expect(tokenBuckets(1)).toEqual([1]);
  });
});
