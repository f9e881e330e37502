/** The cost model beside what was measured on the machine of plans/seesaw. */
import { describe, expect, it } from 'vitest';
import { seesawFacts } from '../../../bench/support/seesaw-facts.js';

describe('the model of Seesaw on L4', () => {
  it('predicts measured rates, reloads, steps and room to within a fifth', () => {
    const errors = seesawFacts().map(({ what, measured, predicted }) => ({
      what,
      error: predicted / measured - 1,
    }));
    expect(errors).toHaveLength(9);
    for (const { what, error } of errors) expect(Math.abs(error), what).toBeLessThan(0.2);
  }, 60_000);
});
