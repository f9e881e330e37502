/** What of a workload is left in the midst of a simulation. */
import { describe, expect, it } from 'vitest';
import { demandOf } from '../../../compiler/planner/demand.js';
import { createWorkLeft } from '../../../runtime/tune/work-left.js';

const VIEW = { pageTokens: 4, window: undefined };

/** Rows of a prompt, from `start` on. */
const rows = (sequence: number, start: number, count: number, sample = false) => ({
  sequence,
  start,
  count,
  sample,
  firstPage: 0,
  pages: [],
  offset: 0,
});

describe('createWorkLeft', () => {
  it('counts what steps have done, whatever is left of it', () => {
    const all = [
      { promptTokens: 8, outputTokens: 3 },
      { promptTokens: 6, outputTokens: 1 },
    ];
    const left = createWorkLeft(all, demandOf(all, VIEW));
    left.count([rows(0, 0, 8, true), rows(1, 0, 4)]);
    expect(left.demand(0)).toMatchObject({ requests: 1, promptTokens: 2, promptPairs: 5 + 6, decodeRows: 2 });
    left.count([rows(0, 8, 1, true), rows(1, 4, 2, true)]);
    expect(left.demand(0)).toMatchObject({ requests: 0, promptTokens: 0, promptPairs: 0, decodeRows: 1 });
  });

  it('has nothing of prompts left where more was computed than had to be', () => {
    // Three prompts have four tokens in common, which need be computed once.
    const all = Array.from({ length: 3 }, () => ({
      promptTokens: 8,
      outputTokens: 1,
      prefix: { name: 'a', tokens: 4 },
    }));
    const demand = demandOf(all, VIEW);
    expect(demand.promptTokens).toBeLessThan(24);
    const left = createWorkLeft(all, demand);
    left.count(all.map((_, sequence) => rows(sequence, 0, 6)));
    expect(left.demand(0)).toMatchObject({ promptTokens: 0, promptPairs: 0 });
  });
});
