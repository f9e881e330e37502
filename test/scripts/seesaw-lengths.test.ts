/** The lengths of arxiv-summarization in plans/seesaw: they have what has been published of those of the set. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

interface Lengths {
  readonly prompt_tokens: number;
  readonly output_tokens: number;
}

const requests = readFileSync('plans/seesaw/arxiv.jsonl', 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Lengths);

describe('the lengths of arxiv-summarization', () => {
  it('are of 500 requests, none longer than the context', () => {
    expect(requests).toHaveLength(500);
    for (const { prompt_tokens: prompt, output_tokens: output } of requests) {
      expect(Math.min(prompt, output)).toBeGreaterThan(0);
      expect(prompt + output).toBeLessThanOrEqual(4096);
    }
  });

  it.each([
    ['prompt_tokens', { mean: 2620, median: 2730, ninth: 3702 }],
    ['output_tokens', { mean: 279, median: 167, ninth: 372 }],
  ] as const)('have the average and the quantiles of %s', (which, published) => {
    const sorted = requests.map((each) => each[which]).sort((a, b) => a - b);
    const found = {
      mean: sorted.reduce((sum, each) => sum + each, 0) / sorted.length,
      median: sorted[sorted.length / 2]!,
      ninth: sorted[0.9 * sorted.length]!,
    };
    for (const figure of ['mean', 'median', 'ninth'] as const)
      expect(Math.abs(found[figure] / published[figure] - 1), figure).toBeLessThan(0.02);
  });
});
