import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import { makePlan } from './support/make-plan.js';

describe('compilePlan', () => {
  it('lowers a re-sharded plan', () => {
    const plan = makePlan({
      stages: [
        { name: 'prefill', mesh: { pp: 4 } },
        { name: 'decode', mesh: { tp: 4 } },
      ],
    });
    const { runtime, diagnostics } = compilePlan(plan);
    expect(diagnostics).toEqual([]);
    expect(runtime.stages.map((stage) => stage.programs.length)).toEqual([4, 1]);
    expect(runtime.transitions).toHaveLength(2);
  });
});
