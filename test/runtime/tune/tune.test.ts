/** The tuner: what an exhaustive search finds, found with less. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { candidatePlans } from '../../../compiler/planner/candidates.js';
import { tune, type Goal, type Tuned } from '../../../runtime/tune/tune.js';
import { machine, planOn, requests } from './machines.js';

const makespan = ({ simulation }: Tuned): number => simulation.makespan;
const betweenTokens = ({ simulation }: Tuned): number => simulation.latency.betweenTokens;

describe('tune', () => {
  it('finds the plans that an exhaustive search finds, whatever is wanted of them', () => {
    fc.assert(
      fc.property(machine, requests, fc.double({ min: 0.05, max: 1, noNaN: true }), (made, all, part) => {
        const candidates = candidatePlans(planOn(made)).filter((_, i) => i % 2 === all.length % 2);
        const every = tune(candidates, all, { keep: 'all' });
        expect(every.pruned).toBe(0);
        expect(every.ranked.length + every.unfit).toBe(candidates.length);

        const quick = tune(candidates, all, { keep: 2 });
        expect(quick.ranked.slice(0, 2).map(makespan)).toEqual(every.ranked.slice(0, 2).map(makespan));
        expect(quick.ranked.length + quick.pruned + quick.unfit).toBe(candidates.length);

        const floor = all.length / Math.max(...every.ranked.map(makespan), 1e-6) / part;
        const goal: Goal = { kind: 'latency', floor };
        const reaching = every.ranked.filter((each) => all.length / makespan(each) >= floor);
        const soonest = Math.min(...reaching.map(betweenTokens));
        const found = tune(candidates, all, { goal }).ranked;
        expect(found.length === 0 ? Infinity : betweenTokens(found[0]!)).toBe(soonest);
        for (const each of found)
          expect(all.length / makespan(each)).toBeGreaterThanOrEqual(floor * (1 - 1e-8));

        const front = tune(candidates, all, { goal: { kind: 'front' } }).ranked;
        for (const each of every.ranked.filter((one) => !isBeaten(one, every.ranked)))
          expect(front.some((other) => sameFigures(each, other))).toBe(true);
      }),
      { numRuns: 3 },
    );
  });

  it('says so where no plan fits', () => {
    const candidates = candidatePlans(planOn({ ...PLAIN, deviceMemory: 1e5 }));
    const result = tune(candidates, [{ promptTokens: 10, outputTokens: 5 }]);
    expect(result).toEqual({ ranked: [], pruned: 0, unfit: candidates.length });
  });

  it('counts a plan that would cut answers short as one that does not fit', () => {
    const candidates = candidatePlans(planOn({ ...PLAIN, deviceMemory: 3.2e6 }));
    const long = [{ promptTokens: 60, outputTokens: 68 }];
    const { ranked, unfit } = tune(candidates, long, { keep: 'all' });
    expect(unfit).toBeGreaterThan(0);
    for (const { simulation } of ranked) expect(simulation.tokens.output).toBe(68);
  });
});

const PLAIN = { peerBandwidth: 1e8, deviceMemory: 1e9, step: 0, layer: 0, request: 0, pageTokens: 16 };

/** Both figures of another are better. */
function isBeaten(each: Tuned, all: readonly Tuned[]): boolean {
  return all.some(
    (other) =>
      (makespan(other) < makespan(each) && betweenTokens(other) <= betweenTokens(each)) ||
      (makespan(other) <= makespan(each) && betweenTokens(other) < betweenTokens(each)),
  );
}

function sameFigures(a: Tuned, b: Tuned): boolean {
  return makespan(a) === makespan(b) && betweenTokens(a) === betweenTokens(b);
}
