/** A walk through sizes: one try for each mesh, and from the best of them on a step at a time. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  findCandidates,
  hostKvBytes,
  STRATEGIES,
  type Candidate,
} from '../../../compiler/planner/candidates.js';
import { candidateBound } from '../../../compiler/planner/bound.js';
import { runThrough } from '../../../runtime/run-through.js';
import { decided, searchInParts, type TuneResult } from '../../../runtime/tune/search.js';
import type { SimulatedRequest, Simulation } from '../../../runtime/clock/simulation.js';
import { createSizeWalk, SIZES, worthWalking, type SizeName } from '../../../runtime/tune/size-walk.js';
import {
  mostlyLonger,
  trialInParts,
  type EndedTrial,
  type Goal,
  type Trial,
  type TrialEnd,
} from '../../../runtime/tune/trial.js';
import { createSurvey } from '../../../runtime/tune/survey.js';
import { LEAST_GAIN } from '../../../runtime/tune/tried.js';
import { tune, tuneInParts } from '../../../runtime/tune/tune.js';
import { machine, planOn, requests } from './machines.js';

const sizes = { microbatchTokens: [16, 32, 64], batchRequests: [2, 4, 8], hostKvBytes: [1e9, 1e5] };
const PLAIN = { peerBandwidth: 1e10, deviceMemory: 3.2e6, pageTokens: 16, step: 0, layer: 0, request: 0 };

type Sizes = readonly [microbatch: number, batch: number, hostKv: number];
const sizesOf = ({ base, stages }: Candidate): Sizes => [
  stages[0]!.microbatchTokens,
  stages.at(-1)!.batchRequests,
  hostKvBytes(base)!,
];

describe('createSizeWalk', () => {
  const candidates = findCandidates(planOn(PLAIN), ['re-sharded'], sizes);
  const mesh = candidates.filter(
    ({ stages }) =>
      stages[0]!.mesh === candidates[0]!.stages[0]!.mesh &&
      stages[1]!.mesh === candidates[0]!.stages[1]!.mesh,
  );
  const withSizes = (...wanted: Sizes): { readonly candidate: Candidate } => ({
    candidate: mesh.find((each) => sizesOf(each).join() === wanted.join())!,
  });
  const walkThrough = (walked: readonly SizeName[]): ReturnType<typeof createSizeWalk> =>
    createSizeWalk(candidates, walked, (a, b) => sizesOf(a.candidate)[0] - sizesOf(b.candidate)[0]);

  it('holds back other sizes of a mesh, and no other mesh', () => {
    const walk = walkThrough(SIZES);
    expect(walk.holdBack(withSizes(32, 4, 1e9))).toBe(false);
    expect(walk.holdBack(withSizes(32, 4, 1e9))).toBe(false);
    expect(walk.holdBack(withSizes(64, 4, 1e9))).toBe(true);
    expect(walk.holdBack({ candidate: candidates.find((each) => !mesh.includes(each))! })).toBe(false);
    expect(walk.waiting()).toBe(1);
  });

  it('goes on beside the best, in its order, until nothing waits there', () => {
    const walk = walkThrough(SIZES);
    for (const candidate of [withSizes(32, 4, 1e9).candidate, ...mesh]) walk.holdBack({ candidate });
    const best = [withSizes(32, 4, 1e9)];
    const steps: Sizes[] = [];
    for (let next = walk.beside(best); next !== undefined; next = walk.beside(best)) {
      expect(walk.holdBack(next)).toBe(false);
      steps.push(sizesOf(next.candidate));
    }
    expect(steps.map((each) => each[0])).toEqual([16, 32, 32, 64]);
    expect(new Set(steps.map(String))).toEqual(
      new Set(['16,4,1000000000', '32,2,1000000000', '32,8,1000000000', '64,4,1000000000']),
    );
    expect(walk.waiting()).toBe(mesh.length - 5);
  });

  it('tries no less KV in the host tier', () => {
    const walk = walkThrough(SIZES);
    for (const each of [withSizes(32, 4, 1e5), withSizes(32, 4, 1e9)]) walk.holdBack(each);
    expect(walk.beside([withSizes(32, 4, 1e5)])).toEqual(withSizes(32, 4, 1e9));
    const less = walkThrough(SIZES);
    for (const each of [withSizes(32, 4, 1e9), withSizes(32, 4, 1e5)]) less.holdBack(each);
    expect(less.beside([withSizes(32, 4, 1e9)])).toBeUndefined();
    expect(less.waiting()).toBe(1);
  });

  it('tries every value of a size that is not walked through', () => {
    const walk = walkThrough(['microbatchTokens', 'hostKvBytes']);
    expect(walk.holdBack(withSizes(32, 4, 1e9))).toBe(false);
    expect(walk.holdBack(withSizes(32, 8, 1e9))).toBe(false);
    expect(walk.holdBack(withSizes(64, 8, 1e9))).toBe(true);
    expect(walk.beside([withSizes(32, 4, 1e9)])).toBeUndefined();
    const none = walkThrough([]);
    for (const candidate of mesh) expect(none.holdBack({ candidate })).toBe(false);
  });

  it('is not worth it where there is little to try', () => {
    const workload = (count: number, outputTokens: number): SimulatedRequest[] =>
      Array.from({ length: count }, () => ({ promptTokens: 1, outputTokens }));
    const most = Math.ceil(20_000 / candidates.length);
    expect(worthWalking(candidates, workload(most, 1))).toBe(true);
    expect(worthWalking(candidates, workload(most - 1, 1))).toBe(false);
    // Few requests with long answers take many steps.
    expect(worthWalking(candidates, workload(1, 20 * most))).toBe(true);
    expect(worthWalking(candidates, workload(1, 20 * (most - 2)))).toBe(false);
  });

  it('lets another size take the place of one that does not fit', () => {
    const walk = walkThrough(SIZES);
    const [first, second, third] = [withSizes(64, 8, 1e9), withSizes(64, 4, 1e9), withSizes(32, 4, 1e9)];
    for (const each of [first, second, third]) walk.holdBack(each);
    expect(walk.isOut(second)).toEqual([]);
    expect(walk.isOut(first)).toEqual([second, third]);
    expect(walk.holdBack(second)).toBe(false);
    expect(walk.holdBack(third)).toBe(true);
  });
});

describe('tune with sizes that are walked through', () => {
  it('finds a plan for every workload that has one, and none beside it is better', () => {
    fc.assert(
      fc.property(machine, requests, (made, all) => {
        const candidates = findCandidates(planOn(made), STRATEGIES, sizes).filter(
          ({ stages }, i) => stages.length < 2 || i % 3 === all.length % 3,
        );
        const quick = tune(candidates, all, { walked: SIZES });
        const every = tune(candidates, all, { keep: 'all' });
        expect(decided(quick.counts)).toBe(candidates.length);
        const [best] = quick.ranked;
        expect(best === undefined).toBe(every.ranked.length === 0);
        if (best === undefined) return;
        const walk = createSizeWalk(candidates, SIZES, () => 0);
        for (const candidate of [best.candidate, ...candidates]) walk.holdBack({ candidate });
        const beside = new Set<Candidate>();
        for (let next = walk.beside([best]); next; next = walk.beside([best])) beside.add(next.candidate);
        for (const { candidate, simulation } of every.ranked)
          if (beside.has(candidate))
            expect(simulation.makespan).toBeGreaterThanOrEqual(best.simulation.makespan * (1 - 1e-9));
      }),
      { numRuns: 4 },
    );
  });

  it('tries less than all', () => {
    const all = Array.from({ length: 12 }, (_, i) => ({
      promptTokens: 20 + 5 * i,
      outputTokens: 10 + 3 * i,
    }));
    const candidates = findCandidates(planOn(PLAIN), STRATEGIES, sizes);
    const tried = (walked: readonly SizeName[]): number => {
      const { counts } = tune(candidates, all, { walked });
      return counts.simulated + counts.givenUp;
    };
    expect(tried(SIZES)).toBeLessThan(tried([]));
  });

  it('finds the same with less where estimates decide', () => {
    const all = Array.from({ length: 40 }, (_, i) => ({
      promptTokens: 16 + ((11 * i) % 40),
      outputTokens: 5 + ((7 * i) % 50),
    }));
    const candidates = findCandidates(planOn(PLAIN), STRATEGIES, sizes);
    const search = (byEstimate: boolean): { result: TuneResult; steps: number } => {
      const parts = tuneInParts(candidates, all, { walked: SIZES, byEstimate });
      let steps = 0;
      let part = parts.next();
      for (; !part.done; part = parts.next()) steps++;
      return { result: part.value, steps };
    };
    const [safe, quick] = [search(false), search(true)];
    expect(quick.result.ranked[0]!.candidate).toBe(safe.result.ranked[0]!.candidate);
    expect(safe.result.counts.outestimated).toBe(0);
    expect(quick.result.counts.outestimated).toBeGreaterThan(0);
    expect(decided(quick.result.counts)).toBe(candidates.length);
    expect(quick.steps).toBeLessThan(safe.steps);
  });

  it('tries a mesh with other sizes where its estimate said little of those it was chosen for', () => {
    // Larger steps leave less room for prompts, of which no batch is full then.
    const all = Array.from({ length: 60 }, (_, i) => ({
      promptTokens: 1 + ((37 * i) % 100),
      outputTokens: 1,
    }));
    const tight = { peerBandwidth: 1e9, pageTokens: 1, step: 1e-4, layer: 0, request: 0 };
    const some = { microbatchTokens: [16, 64, 128, 256], batchRequests: [8, 32, 128] };
    for (const deviceMemory of [1.34e6, 2.4e6, 2.92e6]) {
      const candidates = findCandidates(planOn({ ...tight, deviceMemory }), ['static'], some);
      const [walked, every] = [{ walked: SIZES, byEstimate: true }, {}].map(
        (how) => tune(candidates, all, how).ranked[0]!.simulation.makespan,
      );
      expect(walked! / every!, String(deviceMemory)).toBeLessThan(1.01);
    }
  });

  it('comes close to the least time between tokens, and to the front, with less where estimates decide', () => {
    const all = Array.from({ length: 60 }, (_, i) => ({
      promptTokens: 16 + ((11 * i) % 40),
      outputTokens: 5 + ((7 * i) % 50),
    }));
    const candidates = findCandidates(planOn({ ...PLAIN, deviceMemory: 1e9 }), STRATEGIES, sizes);
    const search = (goal: Goal, byEstimate: boolean): TuneResult =>
      tune(candidates, all, { goal, byEstimate });
    const most = tune(candidates, all, { byEstimate: true }).ranked[0]!.simulation.makespan;
    for (const part of [0.3, 0.8]) {
      const goal: Goal = { kind: 'latency', floor: (part * all.length) / most };
      const [safe, quick] = [search(goal, false), search(goal, true)];
      const [least, found] = [safe, quick].map(({ ranked }) => ranked[0]!.simulation.latency.betweenTokens);
      expect(found! / least!).toBeLessThan(1.01);
      expect(quick.counts.simulated).toBeLessThan(safe.counts.simulated / 2);
      expect(decided(quick.counts)).toBe(candidates.length);
    }
    const [safe, quick] = [search({ kind: 'front' }, false), search({ kind: 'front' }, true)];
    expect(quick.counts.simulated).toBeLessThan(safe.counts.simulated / 2);
    // It has steps of a hundredth and a twentieth.
    for (const { simulation } of safe.ranked) {
      const near = quick.ranked.some(
        ({ simulation: other }) =>
          other.makespan <= simulation.makespan * 1.02 &&
          other.latency.betweenTokens <= simulation.latency.betweenTokens * 1.07,
      );
      expect(near).toBe(true);
    }
  });

  it('tries of other meshes what promises a gain where estimates decide, to the end if there is any', () => {
    const all = Array.from({ length: 40 }, (_, i) => ({ promptTokens: 30, outputTokens: 5 + (i % 9) }));
    const plan = planOn({ ...PLAIN, deviceMemory: 1e9 });
    const candidates = findCandidates(plan, ['static'], {
      ...{ microbatchTokens: [64], batchRequests: [16] },
    }).filter(({ stages }) => stages[0]!.mesh.tp > 1);
    const { demand, context } = createSurvey(plan, all);
    const promised = candidates.map((each) =>
      mostlyLonger(candidateBound(each, context)!.closely(demand)!.seconds),
    );
    const [, second] = [...promised].sort((a, b) => a - b);
    /** Trials, where the first shows that the best takes so many seconds. */
    const trials = (best: number): readonly Trial[] => {
      const search = searchInParts(candidates, all, { byEstimate: true });
      const tried: Trial[] = [];
      for (let part = search.next([]); !part.done;) {
        const said = part.value;
        const ended: EndedTrial[] = [];
        if (said.kind === 'start') {
          const { trial, setting } = said;
          tried.push(trial);
          const { outcome, ...end } = runThrough(trialInParts({ ...trial, by: Infinity }, setting));
          const shown = { ...(outcome as Simulation), makespan: best };
          ended.push({ trial, ...end, outcome: tried.length === 1 ? shown : 'givenUp' });
        }
        part = search.next(ended);
      }
      return tried;
    };
    expect(trials(second! / (1 - LEAST_GAIN / 2))).toHaveLength(1);
    const best = second! / (1 - LEAST_GAIN * 1.5);
    expect(trials(best).map(({ by }) => by)).toEqual([Infinity, best]);
  });

  it('tries no other batch of the best that promises nothing where estimates decide', () => {
    // The last of them is short: one place more for it brings the end no nearer.
    const all = Array.from({ length: 40 }, (_, i) => ({ promptTokens: 30, outputTokens: i === 39 ? 2 : 40 }));
    const candidates = findCandidates(planOn({ ...PLAIN, deviceMemory: 1e9 }), ['static'], {
      ...{ microbatchTokens: [64], batchRequests: [39, 40] },
    }).filter(({ stages }) => stages[0]!.mesh.tp === 4);
    expect(candidates).toHaveLength(2);
    const tried = (byEstimate: boolean): number => {
      const { counts } = tune(candidates, all, { walked: SIZES, byEstimate });
      return counts.simulated + counts.givenUp;
    };
    expect([tried(false), tried(true)]).toEqual([2, 1]);
  });

  it('tries no other prefill steps of the best that are estimated a thousandth longer', () => {
    const all = Array.from({ length: 100 }, (_, i) => ({ promptTokens: 50 - (i % 7), outputTokens: 60 }));
    const machine = { ...PLAIN, peerBandwidth: 1e8, deviceMemory: 1e9 };
    const candidates = findCandidates(planOn(machine), ['re-sharded'], {
      ...{ microbatchTokens: [64, 128], batchRequests: [64] },
    }).filter(({ stages: [prefill, decode] }) => prefill!.mesh.pp === 4 && decode!.mesh.tp === 4);
    expect(candidates).toHaveLength(2);
    const search = (byEstimate: boolean): TuneResult => tune(candidates, all, { walked: SIZES, byEstimate });
    const tried = ({ counts }: TuneResult): number => counts.simulated + counts.givenUp;
    const [safe, quick] = [search(false), search(true)];
    expect([tried(safe), tried(quick)]).toEqual([2, 1]);
    expect(quick.ranked[0]!.candidate).toBe(safe.ranked[0]!.candidate);
  });

  it('lets other sizes take the place of those that do not fit, and of what is the same', () => {
    const all = [{ promptTokens: 20, outputTokens: 10 }];
    const candidates = findCandidates(planOn(PLAIN), ['re-sharded'], sizes).filter(
      ({ stages }, _, [first]) =>
        stages[0]!.mesh === first!.stages[0]!.mesh && stages[1]!.mesh === first!.stages[1]!.mesh,
    );
    const search = searchInParts(candidates, all, { walked: SIZES });
    const tried: Candidate[] = [];
    let part = search.next([]);
    while (!part.done) {
      const said = part.value;
      const ended: EndedTrial[] = [];
      if (said.kind === 'start') {
        const { trial, setting } = said;
        tried.push(trial.candidate);
        const fits = sizesOf(trial.candidate)[0] !== sizesOf(tried[0]!)[0];
        const end: TrialEnd = fits
          ? runThrough(trialInParts(trial, setting))
          : { outcome: 'unfit', reachedBatch: false };
        ended.push({ trial, ...end });
      }
      part = search.next(ended);
    }
    expect(part.value.counts.unfit).toBeGreaterThan(0);
    expect(part.value.ranked.length).toBeGreaterThan(0);
    expect(decided(part.value.counts)).toBe(candidates.length);
  });
});
