import { describe, expect, it } from 'vitest';
import { describeWork, secondsLeft, type WorkSoFar } from '../../cli/work-left.js';

/** Half of a hundred requests answered, each with 10 tokens in and 4 out; nothing else begun. */
function half(change: Partial<WorkSoFar['progress']> = {}): WorkSoFar {
  return {
    progress: {
      read: 100,
      readAll: true,
      answered: 50,
      failed: 0,
      cut: 0,
      resumed: 0,
      promptTokens: 500,
      completionTokens: 200,
      ...change,
    },
    stats: { promptTokens: 500, generatedTokens: 200, prefillSeconds: 5, decodeSeconds: 20 },
    total: 100,
    elapsed: 20,
  };
}

describe('the time that is left', () => {
  it('is as long again after half of the work, however the phases overlap', () => {
    expect(secondsLeft(half())).toBeCloseTo(20);
  });

  it('weighs phases by what they took: after all of prefill only decode is left', () => {
    const work = half();
    const stats = { ...work.stats, promptTokens: 1000, prefillSeconds: 10 };
    // 20 of 30 + 20 seconds of work are left.
    expect(secondsLeft({ ...work, stats })).toBeCloseTo((20 * 20) / 30);
  });

  it('leaves out what earlier runs did and what failed', () => {
    // 20 answered by this run, 30 before, 10 failed: 40 are left, twice what was done.
    const work = half({ resumed: 30, failed: 10 });
    const stats = { promptTokens: 200, generatedTokens: 80, prefillSeconds: 2, decodeSeconds: 8 };
    expect(secondsLeft({ ...work, stats })).toBeCloseTo(40);
  });

  it('is unknown before the first answer and for a stream without end, and nothing in the end', () => {
    expect(secondsLeft(half({ answered: 0 }))).toBeUndefined();
    const { progress, stats, elapsed } = half();
    expect(secondsLeft({ progress, stats, elapsed })).toBeUndefined();
    expect(secondsLeft(half({ answered: 99, failed: 1 }))).toBe(0);
  });

  it('is part of the line beside the bar, with tokens by phase and per second', () => {
    expect(describeWork(half())).toBe('prefill 500, decode 200 tokens, 35 tokens/s, about 20.0 s left');
    expect(describeWork({ ...half({ answered: 0 }), elapsed: 0 })).toBe('prefill 500, decode 200 tokens, -');
  });
});
