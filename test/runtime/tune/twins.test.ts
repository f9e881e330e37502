/** Plans with the same rough estimates: which of them gets a closer look. */
import { describe, expect, it } from 'vitest';
import { findCandidates } from '../../../compiler/planner/candidates.js';
import type { Bounded } from '../../../runtime/tune/closer-look.js';
import { twinsByEstimate } from '../../../runtime/tune/twins.js';
import { planOn } from './machines.js';

const plan = planOn({
  peerBandwidth: 1e9,
  deviceMemory: 1e9,
  pageTokens: 16,
  step: 0,
  layer: 0,
  request: 0,
});
const candidates = findCandidates(plan, ['re-sharded'], {
  microbatchTokens: [16, 32],
  batchRequests: [4, 8],
  hostKvBytes: [1e9],
});
const [first] = candidates;

/** One of the first pair of meshes. */
function estimated(
  microbatch: number,
  batch: number,
  estimate: number,
  how: Bounded['estimated'] = 'roughly',
) {
  const index = candidates.findIndex(
    ({ stages }) =>
      stages.every(({ mesh }, place) => mesh === first!.stages[place]!.mesh) &&
      stages[0]!.microbatchTokens === microbatch &&
      stages.at(-1)!.batchRequests === batch,
  );
  return { candidate: candidates[index]!, index, estimate, between: 1, estimated: how };
}

describe('twinsByEstimate', () => {
  it('has the one with the least batch looked at, and no other after it', () => {
    const [small, large] = [estimated(16, 4, 10), estimated(16, 8, 10.0001)];
    const twins = twinsByEstimate();
    expect(twins.isNew(large)).toBe(true);
    expect(twins.first(large, [large, small])).toBe(small);
    expect([small, large].map(twins.isNew)).toEqual([false, false]);
  });

  it('keeps those with other estimates or prefill steps, and those that were looked at', () => {
    const twins = twinsByEstimate();
    const one = estimated(16, 8, 10);
    const others = [estimated(16, 4, 9.9), estimated(32, 4, 10), estimated(16, 4, 10, 'closely')];
    expect(twins.first(one, [...others, one])).toBe(one);
    expect(others.map(twins.isNew)).toEqual([true, true, true]);
    const looked = estimated(16, 8, 10, 'closely');
    expect(twins.first(looked, [estimated(16, 4, 10, 'closely'), looked])).toBe(looked);
  });
});
