import { describe, expect, it } from 'vitest';
import type { Length } from '../../../compiler/plan/workload.js';
import { drawRequests, parseLengths } from '../../../runtime/clock/lengths.js';

const draw = (prompt: Length, count = 4000, seed = 0) =>
  drawRequests({ kind: 'drawn', count, prompt, output: { kind: 'fixed', tokens: 7 } }, 10_000, seed);

function moments(values: readonly number[]): { mean: number; deviation: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance) };
}

describe('drawRequests', () => {
  it.each([
    { kind: 'normal', mean: 900, deviation: 120 },
    { kind: 'lognormal', mean: 900, deviation: 500 },
  ] as const)('draws a $kind of the given mean and deviation', (length) => {
    const { mean, deviation } = moments(draw(length).map(({ promptTokens }) => promptTokens));
    expect(mean / length.mean).toBeCloseTo(1, 1);
    expect(deviation / length.deviation).toBeCloseTo(1, 0);
  });

  it('draws every length of a uniform one, both ends included', () => {
    const seen = new Set(draw({ kind: 'uniform', low: 3, high: 6 }).map(({ promptTokens }) => promptTokens));
    expect([...seen].sort()).toEqual([3, 4, 5, 6]);
  });

  it('draws no length below one', () => {
    for (const { promptTokens } of draw({ kind: 'uniform', low: -2, high: 1 })) expect(promptTokens).toBe(1);
  });

  it('draws the same with the same seed, and never beyond the context', () => {
    const length = { kind: 'lognormal', mean: 9000, deviation: 9000 } as const;
    expect(draw(length)).toEqual(draw(length));
    expect(draw(length)).not.toEqual(draw(length, 4000, 5));
    for (const { promptTokens, outputTokens } of draw(length))
      expect(promptTokens + outputTokens).toBeLessThanOrEqual(10_000);
  });

  it('leaves prompts of a given length as they are, so that what has no room is told', () => {
    const [request] = draw({ kind: 'fixed', tokens: 60_000 }, 1);
    expect(request).toEqual({ promptTokens: 60_000, outputTokens: 7 });
    expect(draw({ kind: 'fixed', tokens: 9_998 }, 1)).toEqual([
      { promptTokens: 9_998, outputTokens: 2, cut: true },
    ]);
  });

  it('marks requests with less of an answer than was drawn', () => {
    const prompt = { kind: 'uniform', low: 1, high: 20_000 } as const;
    for (const { promptTokens, outputTokens, cut } of draw(prompt)) {
      expect(outputTokens).toBe(Math.min(7, 10_000 - promptTokens));
      expect(cut).toBe(outputTokens < 7 || undefined);
    }
  });
});

describe('drawRequests of prompts that begin alike', () => {
  it('has what is in common in all of them, as far as they are that long', () => {
    const requests = drawRequests(
      {
        kind: 'drawn',
        count: 50,
        prompt: { kind: 'uniform', low: 3, high: 9 },
        output: { kind: 'fixed', tokens: 7 },
        prefix: 6,
      },
      100,
    );
    for (const { promptTokens, prefix } of requests)
      expect(prefix).toEqual({ name: '', tokens: Math.min(6, promptTokens) });
  });
});

it('marks the prompts that are drawn too long for the context', () => {
  const prompt = { kind: 'uniform', low: 9, high: 12 } as const;
  const output = { kind: 'fixed', tokens: 1 } as const;
  const requests = drawRequests({ kind: 'drawn', count: 40, prompt, output }, 11);
  expect(new Set(requests.map(({ promptCut, promptTokens }) => `${promptTokens} ${promptCut}`))).toEqual(
    new Set(['9 undefined', '10 undefined', '10 true']),
  );
});

describe('parseLengths', () => {
  it('reads lines under either name', () => {
    const text = '{"prompt_tokens": 12, "output_tokens": 3}\n\n{"prompt": 1, "completion_tokens": 2}\n';
    expect(parseLengths(text)).toEqual({
      kind: 'requests',
      requests: [
        { promptTokens: 12, outputTokens: 3 },
        { promptTokens: 1, outputTokens: 2 },
      ],
    });
  });

  it('reads what editors of other systems write', () => {
    const text = '\ufeff{"prompt_tokens": 4, "output_tokens": 1}\r\n\r\n';
    expect(parseLengths(text)).toEqual({
      kind: 'requests',
      requests: [{ promptTokens: 4, outputTokens: 1 }],
    });
  });

  it('reads what prompts begin with', () => {
    const text =
      '{"prompt_tokens": 12, "output_tokens": 3, "prefix_tokens": 12}\n' +
      '{"prompt_tokens": 12, "output_tokens": 3, "prefix": "a", "prefix_tokens": 5}\n' +
      '{"prompt_tokens": 12, "output_tokens": 3, "prefix_tokens": 0}\n';
    const lengths = { promptTokens: 12, outputTokens: 3 };
    expect(parseLengths(text)).toEqual({
      kind: 'requests',
      requests: [
        { ...lengths, prefix: { name: '', tokens: 12 } },
        { ...lengths, prefix: { name: 'a', tokens: 5 } },
        lengths,
      ],
    });
  });

  it.each([
    ['', '1:1', 'no request'],
    ['{"prompt_tokens": 1, "output_tokens": 1}\n{', '2:2', 'not JSON'],
    ['{"prompt_tokens": 1 "output_tokens": 1}', '1:21', 'not JSON'],
    ['lengths', '1:1', 'not JSON'],
    ['{"prompt_tokens": 0, "output_tokens": 1}', '1:19', '`prompt_tokens`'],
    ['{"prompt_tokens": 1}', '1:1', '`output_tokens`'],
    ['{"prompt_tokens": 1, "completion_tokens" : "2"}', '1:44', '`output_tokens`'],
    ['null', '1:1', '`prompt_tokens`'],
    ['{"prompt_tokens": 4, "output_tokens": 1, "prefix_tokens": 5}', '1:59', '`prefix_tokens`'],
    ['{"prompt_tokens": 4, "output_tokens": 1, "prefix_tokens": 1.5}', '1:59', '`prefix_tokens`'],
    ['{"prompt_tokens": 4, "output_tokens": 1, "prefix": 7, "prefix_tokens": 1}', '1:52', '`prefix`'],
    ['{"prompt_tokens": 4, "output_tokens": 1, "prefix": "a"}', '1:52', '`prefix_tokens`'],
    ['{"prompt_tokens": 4, "output_tokens": 1, "prefx_tokens": 1}', '1:42', 'did you mean `prefix_tokens`'],
  ])('says what is wrong with %j', (text, place, why) => {
    const parsed = parseLengths(text);
    if (parsed.kind !== 'problems') expect.fail('lengths were found');
    expect(parsed.problems).toHaveLength(1);
    const [problem] = parsed.problems;
    expect(`${problem.line}:${problem.column}`).toBe(place);
    expect(problem.why).toContain(why);
  });

  it('tells the fields that mean nothing, each once', () => {
    const line = '{"prompt_tokens": 4, "output_tokens": 1, "bogus": "x"}\n';
    expect(parseLengths(line + line)).toMatchObject({ kind: 'requests', ignored: ['bogus'] });
  });

  it('says of every line what is wrong with it', () => {
    const good = '{"prompt_tokens": 1, "output_tokens": 1}\n';
    expect(parseLengths(`${good}{}\n${good}\n[1, 2]\n`)).toMatchObject({
      problems: [{ line: 2 }, { line: 5 }],
    });
  });
});
