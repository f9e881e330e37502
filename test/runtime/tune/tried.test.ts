/** What has been tried, by its estimates: what is not worth a trial beside it. */
import { describe, expect, it } from 'vitest';
import { findCandidates, hostKvBytes, type Candidate } from '../../../compiler/planner/candidates.js';
import type { Simulation } from '../../../runtime/clock/simulation.js';
import { createTried, type Tried } from '../../../runtime/tune/tried.js';
import type { Goal } from '../../../runtime/tune/trial.js';
import { planOn } from './machines.js';

const plan = planOn({
  peerBandwidth: 1e9,
  deviceMemory: 1e9,
  pageTokens: 16,
  step: 0,
  layer: 0,
  request: 0,
});
const sizes = { microbatchTokens: [16, 32], batchRequests: [4, 8], hostKvBytes: [1e9, 1e6] };
const candidates = findCandidates(plan, ['fused', 're-sharded'], sizes);

/** The first candidate of the kind that has these sizes: of one pair of meshes each. */
function candidateOf(
  strategy: Candidate['strategy'],
  microbatch: number,
  batch: number,
  host = 1e9,
): Candidate {
  const [first] = candidates.filter((each) => each.strategy === strategy);
  return candidates.find(
    ({ base, stages }) =>
      stages.length === first!.stages.length &&
      stages.every(({ mesh }, i) => mesh === first!.stages[i]!.mesh) &&
      stages[0]!.microbatchTokens === microbatch &&
      stages.at(-1)!.batchRequests === batch &&
      hostKvBytes(base) === host,
  )!;
}

const otherMesh = candidates.filter(({ strategy }) => strategy === 'fused').at(-1)!;
const tried = (goal: Goal['kind']): Tried =>
  createTried(goal === 'latency' ? { kind: goal, floor: 1 } : { kind: goal }, 0.002);
const estimated = (candidate: Candidate, estimate: number, between: number) => ({
  candidate,
  estimate,
  between,
  index: candidates.indexOf(candidate),
});

/** What of a simulation counts here. */
function ofTrial(betweenTokens: number, makespan = 10): Simulation {
  return { makespan, latency: { betweenTokens } } as Partial<Simulation> as Simulation;
}

describe('createTried', () => {
  it('covers another batch or cap of the host tier to which that makes no difference', () => {
    for (const goal of ['latency', 'front'] as const) {
      const all = tried(goal);
      all.add(estimated(candidateOf('re-sharded', 16, 4), 10, 1));
      const covers = (candidate: Candidate, estimate: number, between: number): boolean =>
        all.covers(estimated(candidate, estimate, between), undefined);
      expect(covers(candidateOf('re-sharded', 16, 8), 10, 1)).toBe(true);
      expect(covers(candidateOf('re-sharded', 16, 4, 1e6), 10.001, 1)).toBe(true);
      expect(covers(candidateOf('re-sharded', 16, 4, 1e6), 10, 0.9)).toBe(false);
      expect(covers(candidateOf('re-sharded', 32, 4), 9.5, 1)).toBe(false);
      expect(covers(otherMesh, 9.5, 1)).toBe(false);
    }
  });

  it('covers sizes of the best that promise no less time between tokens, where that is wanted', () => {
    const all = tried('latency');
    const best = candidateOf('fused', 16, 4);
    all.add(estimated(best, 10, 1));
    all.ended(best, { outcome: ofTrial(1.1) });
    const covers = (candidate: Candidate, between: number): boolean =>
      all.covers(estimated(candidate, 8, between), best);
    expect(covers(candidateOf('fused', 32, 4), 0.999)).toBe(true);
    expect(covers(candidateOf('fused', 32, 4), 0.99)).toBe(false);
    expect(covers(otherMesh, 0.999)).toBe(false);
    // The trial of another mesh shows that estimates of such plans are too short by more.
    const like = candidates.find(
      ({ stages }) => stages.length === 1 && stages[0]!.mesh === otherMesh.stages[0]!.mesh,
    )!;
    all.add(estimated(like, 10, 0.95));
    all.ended(like, { outcome: ofTrial(1.15) });
    expect(covers(otherMesh, 0.91)).toBe(true);
    expect(covers(otherMesh, 0.9)).toBe(false);
  });

  it('covers other prefill before the same decode, where time between tokens is wanted', () => {
    const apart = findCandidates(plan, ['disaggregated'], sizes);
    const decodeOf = ({ stages }: Candidate) => stages.at(-1)!;
    const [best, other] = apart.flatMap((one) =>
      apart.flatMap((two) =>
        one.stages[0]!.mesh !== two.stages[0]!.mesh &&
        decodeOf(one).mesh === decodeOf(two).mesh &&
        decodeOf(one).devices === decodeOf(two).devices
          ? [one, two]
          : [],
      ),
    );
    const elsewhere = apart.find((each) => decodeOf(each).mesh !== decodeOf(best!).mesh)!;
    const all = tried('latency');
    const of = (candidate: Candidate, between: number) => ({
      candidate,
      estimate: 10,
      between,
      index: apart.indexOf(candidate),
      estimated: 'closely' as const,
    });
    all.add(of(best!, 1));
    all.ended(best!, { outcome: ofTrial(1.1) });
    expect(all.covers(of(other!, 0.999), best)).toBe(true);
    expect(all.covers(of(other!, 0.99), best)).toBe(false);
    expect(all.covers(of(elsewhere, 0.999), best)).toBe(false);
    // Rough estimates have nothing of what comes from prefill.
    expect(all.covers({ ...of(other!, 0.999), estimated: 'roughly' }, best)).toBe(false);
  });

  it('covers sizes of what was given up that promise to be done no sooner than in time', () => {
    const best = candidates.find(({ stages }) => stages.length === 1 && stages[0]!.mesh.pp === 4)!;
    const all = tried('latency');
    const covers = (candidate: Candidate, estimate: number): boolean =>
      all.covers(estimated(candidate, estimate, 0.9), best);
    // While nothing is found all are worth a trial.
    const first = candidateOf('fused', 16, 4);
    all.add(estimated(first, 10, 1));
    all.ended(first, { outcome: 'givenUp', late: 0.05 });
    expect(covers(candidateOf('fused', 16, 8), 9.65)).toBe(false);
    all.add(estimated(best, 8, 1));
    all.ended(best, { outcome: ofTrial(1, 8) });
    for (const strategy of ['fused', 're-sharded'] as const) {
      const behind = candidateOf(strategy, 16, 4);
      all.add(estimated(behind, 10, 1));
      all.ended(behind, { outcome: 'givenUp', late: 0.05 });
      expect(covers(candidateOf(strategy, 16, 8), 9.65)).toBe(true);
      expect(covers(candidateOf(strategy, 16, 8), 9.55)).toBe(false);
    }
    expect(covers(candidateOf('re-sharded', 32, 4), 9.65)).toBe(true);
    expect(covers(candidateOf('re-sharded', 32, 4), 9.55)).toBe(false);
    // Of fused plans prefill steps say too much.
    expect(covers(candidateOf('fused', 32, 4), 10.02)).toBe(false);
    expect(covers(otherMesh, 11)).toBe(false);
    // What misses by a hair says little of others that are much alike.
    const close = tried('latency');
    close.add(estimated(best, 8, 1));
    close.ended(best, { outcome: ofTrial(1, 8) });
    close.add(estimated(candidateOf('re-sharded', 16, 4), 10, 1));
    close.ended(candidateOf('re-sharded', 16, 4), { outcome: 'givenUp', late: 1e-4 });
    const promises = [10.15, 10.05].map((each) => estimated(candidateOf('re-sharded', 32, 4), each, 0.9));
    expect(promises.map((each) => close.covers(each, best))).toEqual([true, false]);
  });

  it('goes along a front in steps', () => {
    const all = tried('front');
    const first = candidateOf('fused', 16, 4);
    all.add(estimated(first, 10, 1));
    const covers = (estimate: number, between: number): boolean =>
      all.covers(estimated(otherMesh, estimate, between), undefined);
    // Slower, it must have less time between tokens; with more of that, it must be quicker.
    expect([covers(12, 0.96), covers(12, 0.94)]).toEqual([true, false]);
    expect([covers(9.95, 2), covers(9.8, 2)]).toEqual([true, false]);
    // Its trial has shown more than its estimate: of plans with its meshes estimates leave out as much, of others it is not known.
    all.ended(first, { outcome: ofTrial(1.2, 11) });
    expect([covers(12, 1.15), covers(12, 1)]).toEqual([true, false]);
    const like = (estimate: number): boolean =>
      all.covers(estimated(candidateOf('fused', 16, 8), estimate, 1.3), undefined);
    expect([covers(10.8, 1.3), covers(10.95, 1.3)]).toEqual([false, true]);
    expect([like(9.8), like(9.95)]).toEqual([false, true]);
  });

  it('covers nothing by what cannot serve the workload, nor steps of a front by what was given up', () => {
    const [small, large] = [candidateOf('re-sharded', 16, 4, 1e6), candidateOf('re-sharded', 16, 4)];
    for (const goal of ['latency', 'front'] as const) {
      const all = tried(goal);
      all.add(estimated(small, 10, 1));
      expect(all.covers(estimated(large, 10, 1), undefined)).toBe(true);
      all.ended(small, { outcome: 'unfit' });
      expect(all.covers(estimated(large, 10, 1), undefined)).toBe(false);
    }
    const front = tried('front');
    front.add(estimated(small, 10, 1));
    front.ended(small, { outcome: 'givenUp' });
    expect(front.covers(estimated(otherMesh, 10, 1), undefined)).toBe(false);
    expect(front.covers(estimated(large, 10, 1), undefined)).toBe(true);
  });
});
