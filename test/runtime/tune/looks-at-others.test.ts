/** What looks at some plans tell of others. */
import { describe, expect, it } from 'vitest';
import type { CompiledCandidate } from '../../../compiler/compile.js';
import type { PlanBound } from '../../../compiler/planner/bound.js';
import { findCandidates, type Strategy } from '../../../compiler/planner/candidates.js';
import type { Bounded } from '../../../runtime/tune/closer-look.js';
import { looksAtOthers } from '../../../runtime/tune/looks-at-others.js';
import { leastByEstimate } from '../../../runtime/tune/trial.js';
import { planOn } from './machines.js';

const plan = planOn({
  peerBandwidth: 1e9,
  deviceMemory: 1e9,
  pageTokens: 16,
  step: 0,
  layer: 0,
  request: 0,
});
const candidates = findCandidates(plan, ['fused', 're-sharded', 'disaggregated'], {
  microbatchTokens: [16, 32],
  batchRequests: [4, 8],
  hostKvBytes: [1e9],
});

interface Wanted {
  readonly strategy: Strategy;
  readonly microbatch?: number;
  readonly batch?: number;
  /** Of those with the same decode, which prefill. */
  readonly other?: number;
  /** Replicas that decode. */
  readonly dp?: number;
}

/** One with the meshes of the first of the strategy, or with its decode alone. */
function bounded(
  { strategy, microbatch = 16, batch = 8, other = 0, dp = 1 }: Wanted,
  estimate: number,
  figures: Partial<Bounded> = {},
): Bounded {
  const first = candidates.find(
    ({ strategy: its, stages }) =>
      its === strategy &&
      stages.at(-1)!.mesh.dp === dp &&
      (strategy !== 'disaggregated' || stages[0]!.devices.length > 1),
  )!;
  const decode = first.stages.at(-1)!;
  const alike = candidates.filter(({ stages }) => {
    const last = stages.at(-1)!;
    return (
      stages.length === first.stages.length &&
      last.mesh === decode.mesh &&
      last.devices === decode.devices &&
      last.batchRequests === batch &&
      stages[0]!.microbatchTokens === microbatch &&
      (other > 0 || stages[0]!.mesh === first.stages[0]!.mesh)
    );
  });
  const candidate = alike[other]!;
  return {
    candidate,
    index: candidates.indexOf(candidate),
    least: 1,
    betweenTokens: 1,
    between: 1,
    estimate,
    estimated: 'roughly',
    ...figures,
  };
}

const closely = (each: Bounded, estimate: number): Bounded => ({ ...each, estimate, estimated: 'closely' });

function compiled(each: Bounded, estimate: number): Bounded {
  const nothing = {} as Partial<CompiledCandidate> as CompiledCandidate;
  return {
    ...closely(each, estimate),
    bound: {} as Partial<PlanBound> as PlanBound,
    compiled: { plan, ...nothing },
  };
}

describe('looksAtOthers', () => {
  it('tells nothing before any look but what the estimate itself does', () => {
    const looks = looksAtOthers();
    const rough = bounded({ strategy: 're-sharded' }, 10);
    expect(looks.atLeast(rough)).toBe(leastByEstimate(rough));
    expect(looks.atLeast({ ...rough, estimated: undefined })).toBe(0);
    expect(looks.atLeast({ ...rough, estimated: 'no closer' })).toBe(0);
  });

  it('expects of rough estimates what looks made of others like them, or little less', () => {
    for (const [strategy, less] of [
      ['re-sharded', 0.04],
      ['disaggregated', 0.13],
    ] as const) {
      const looks = looksAtOthers();
      const [first, second] = [bounded({ strategy }, 10), bounded({ strategy, batch: 4 }, 10.4)];
      looks.add(first, closely(first, 12));
      looks.add(second, closely(second, 12.74));
      const other = bounded({ strategy }, 11);
      expect(looks.atLeast(other)).toBeCloseTo(11 * 1.2 * (1 - less), 9);
      // Far from them, or with other meshes, its own estimate says all there is.
      const far = bounded({ strategy }, 13.1);
      expect(looks.atLeast(far)).toBe(leastByEstimate(far));
      const elsewhere = candidates.filter((each) => each.strategy === strategy).at(-1)!;
      const apart = { ...other, candidate: elsewhere };
      expect(looks.atLeast(apart)).toBe(leastByEstimate(apart));
    }
  });

  it('expects nothing of fused plans, of which batch and steps decide, nor of other steps for prefill on the same devices', () => {
    for (const [strategy, microbatch] of [
      ['fused', 16],
      ['re-sharded', 32],
    ] as const) {
      const looks = looksAtOthers();
      const first = bounded({ strategy }, 10);
      looks.add(first, closely(first, 12));
      const other = bounded({ strategy, microbatch }, 10);
      expect(looks.atLeast(other)).toBe(leastByEstimate(other));
    }
  });

  it('expects of close estimates what compiling made of others with the same steps', () => {
    const looks = looksAtOthers();
    const first = closely(bounded({ strategy: 're-sharded' }, 10), 10);
    looks.add(first, compiled(first, 10.5));
    const [same, other] = [4, 8].map((batch) => closely(bounded({ strategy: 're-sharded', batch }, 9), 11));
    expect(looks.atLeast(same!)).toBeCloseTo(11 * 1.05 * 0.997, 9);
    expect(looks.atLeast(other!)).toBeCloseTo(11 * 1.05 * 0.997, 9);
    const steps = closely(bounded({ strategy: 're-sharded', microbatch: 32 }, 9), 11);
    expect(looks.atLeast(steps)).toBeLessThanOrEqual(11);
  });

  it('expects decode on devices of its own to take as long whatever prefill is like, but for a quicker one', () => {
    const looks = looksAtOthers();
    const wanted = { strategy: 'disaggregated', other: 1 } as const;
    looks.add(bounded(wanted, 5), bounded(wanted, 10, { least: 5 }));
    const unestimated = (least: number, batch?: number): Bounded =>
      bounded({ strategy: 'disaggregated', ...(batch && { batch }) }, least, { least, estimated: undefined });
    const { candidate } = unestimated(6);
    const like = { candidate, estimate: 10 * 0.97, estimated: 'roughly' } as const;
    expect(looks.atLeast(unestimated(6))).toBe(leastByEstimate(like));
    expect(looks.atLeast(unestimated(4))).toBe(0);
    expect(looks.atLeast(unestimated(6, 4))).toBe(0);
    // And what looks made of such plans.
    const first = bounded(wanted, 10);
    looks.add(first, closely(first, 12));
    expect(looks.atLeast(unestimated(6))).toBeCloseTo(10 * 0.97 * 1.2 * 0.87, 9);
  });

  it('expects of plans that promise what one promised that was tried no less than that took, or hardly', () => {
    const tried = (each: Bounded, seconds: number): ReturnType<typeof looksAtOthers> => {
      const looks = looksAtOthers();
      looks.tried(each, seconds);
      return looks;
    };
    for (const [strategy, microbatch] of [
      ['fused', 16],
      ['re-sharded', 32],
      ['disaggregated', 32],
    ] as const) {
      const one = compiled(bounded({ strategy }, 9), 10);
      const alike = bounded({ strategy, microbatch, batch: 4 }, 9);
      for (const other of [closely(alike, 9.99), compiled(alike, 9.99)]) {
        const found = tried(one, 10.08).atLeast(other);
        expect(found, strategy).toBeLessThan(9.99 * 1.008);
        expect(found, strategy).toBeGreaterThan(9.99 * 1.002);
        // What made it take much longer may be its own.
        expect(tried(one, 11).atLeast(other), strategy).toBeLessThan(9.99 * 1.01);
        // Of what promises more or less it says nothing.
        const [atLeast, farther] = [looksAtOthers().atLeast, { ...other, estimate: 9.5 }];
        expect(tried(one, 10.08).atLeast(farther), strategy).toBe(atLeast(farther));
        // Nor does one of which no more is known than a rough estimate.
        expect(tried({ ...one, estimated: 'roughly' }, 10.08).atLeast(other), strategy).toBe(atLeast(other));
      }
    }
    const [here, there] = [
      compiled(bounded({ strategy: 'fused' }, 9), 10),
      compiled(bounded({ strategy: 're-sharded' }, 9), 10),
    ];
    expect(tried(here, 10.08).atLeast(there)).toBe(0);
  });

  it('expects nothing by trials of other steps in one stage, or of several replicas', () => {
    for (const [strategy, dp] of [
      ['fused', 1],
      ['re-sharded', 2],
    ] as const) {
      const [one, other] = [16, 32].map((microbatch) =>
        compiled(bounded({ strategy, microbatch, dp }, 9), 10),
      );
      const looks = looksAtOthers();
      looks.tried(one!, 10.08);
      expect(looks.atLeast(one!), strategy).toBeGreaterThan(10);
      expect(looks.atLeast(other!), strategy).toBe(0);
    }
  });

  it('expects nothing of re-sharded plans whose pages are filled a few times, of which the batch decides', () => {
    const looks = looksAtOthers();
    const first = bounded({ strategy: 're-sharded' }, 10, { timesFilled: 3 });
    looks.add(first, closely(first, 12));
    const other = bounded({ strategy: 're-sharded', batch: 4 }, 10, { timesFilled: 3 });
    expect(looks.atLeast(other)).toBe(leastByEstimate(other));
    expect(looks.atLeast({ ...other, timesFilled: undefined })).toBeGreaterThan(11);
  });
});

describe('leastByEstimate', () => {
  it('is less where rough estimates are rougher: where pages are filled a few times', () => {
    const least = (timesFilled?: number, strategy: Strategy = 'fused'): number =>
      leastByEstimate(bounded({ strategy }, 100, { timesFilled }));
    expect(least()).toBeGreaterThan(99);
    expect([least(1), least(3)]).toEqual([81, 81]);
    expect(least(15)).toBeCloseTo(95, 9);
    expect(least(1e6)).toBe(least());
    expect(least(15, 're-sharded')).toBeCloseTo(95, 9);
    expect(least(3, 'disaggregated')).toBe(least(undefined, 'disaggregated'));
  });

  it('is less of close estimates of several replicas', () => {
    const [one, two] = [1, 2].map((dp) =>
      leastByEstimate(closely(bounded({ strategy: 'fused', dp }, 1), 100)),
    );
    expect(one).toBeCloseTo(99.7, 9);
    expect(two).toBeCloseTo(97, 9);
  });
});
