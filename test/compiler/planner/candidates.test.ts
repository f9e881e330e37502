import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import {
  candidateLabel,
  candidatePlan,
  findCandidates,
  hostKvBytes,
  meshesOver,
  type Strategy,
} from '../../../compiler/planner/candidates.js';
import { makePlan } from '../support/make-plan.js';

const plan = makePlan({ stages: [{ name: 'serve', mesh: { tp: 4 } }] });

describe('findCandidates', () => {
  it('takes every mesh that devices and model allow', () => {
    const meshes = meshesOver(plan, 4).map(({ dp, pp, tp }) => `${dp} ${pp} ${tp}`);
    expect(meshes.sort()).toEqual(['1 1 4', '1 2 2', '1 4 1', '2 1 2', '2 2 1', '4 1 1']);
    // Four kv heads cannot be split eight ways, four layers not into eight stages.
    expect(meshesOver(plan, 8).map(({ pp, tp }) => Math.max(pp, tp))).not.toContain(8);
  });

  it('pairs meshes of equal dp on the same devices, and any on disjoint ones', () => {
    const found = findCandidates(plan);
    const count = (strategy: string): number => found.filter((each) => each.strategy === strategy).length;
    expect(count('fused')).toBe(6);
    // Three meshes with dp 1 in pairs of different ones, two with dp 2, one with dp 4.
    expect(count('re-sharded')).toBe(3 * 2 + 2);
    // 1 + 3, 2 + 2 and 3 + 1 devices: 1 * 2 (dp 3 and pp 3) + 3 * 3 + 2 * 1.
    expect(count('disaggregated')).toBe(2 + 9 + 2);
    expect(new Set(found.map(candidateLabel)).size).toBe(found.length);
  });

  it('gives either stage the first devices where they are not alike, and says which it has', () => {
    const [first, ...others] = plan.topology.devices;
    const devices = [{ ...first!, kind: { ...first!.kind, name: 'other' } }, ...others];
    const unlike = { ...plan, topology: { ...plan.topology, devices } };
    const labels = findCandidates(unlike, ['disaggregated']).map(candidateLabel);
    expect(labels).toContain('1 other (tp: 1) + 3 chip (dp: 3)');
    expect(labels).toContain('3 chip (dp: 3) + 1 other (tp: 1)');
    expect(labels).toContain('1 other, 1 chip (tp: 2) + 2 chip (tp: 2)');
    expect(labels).toHaveLength(2 * 13);
    expect(new Set(labels).size).toBe(labels.length);
  });

  it('leaves out devices of the other kinds too where stages share theirs', () => {
    const chip = plan.topology.devices[0]!.kind;
    const kinds = [chip, { ...chip, name: 'slow' }];
    const devices = plan.topology.devices.map((device, i) => ({ ...device, kind: kinds[i % 2]! }));
    const unlike = { ...plan, topology: { ...plan.topology, devices } };
    const found = findCandidates(unlike, ['fused', 're-sharded']);
    const some = found.filter(({ stages }) => stages.some((stage) => stage.devices.length < 4));
    const labels = some.map(candidateLabel);
    const meshes = ['(dp: 2)', '(pp: 2)', '(tp: 2)', '(pp: 2) -> (tp: 2)', '(tp: 2) -> (pp: 2)'];
    expect(labels.toSorted()).toEqual(
      ['chip', 'slow'].flatMap((kind) => meshes.map((mesh) => `2 ${kind} ${mesh}`)).toSorted(),
    );
    for (const candidate of some) {
      const kind = candidateLabel(candidate).includes('slow') ? [1, 3] : [0, 2];
      for (const stage of candidate.stages) expect(stage.devices).toEqual(kind);
      const { diagnostics } = compilePlan(candidatePlan(candidate));
      expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
    }
    expect(found.length - some.length).toBe(findCandidates(plan, ['fused', 're-sharded']).length);
  });

  it('shares the values of what candidates have in common', () => {
    const [first, ...others] = plan.topology.devices;
    const devices = [{ ...first!, kind: { ...first!.kind, name: 'other' } }, ...others];
    const unlike = { ...plan, topology: { ...plan.topology, devices } };
    const own = hostKvBytes(plan)!;
    const sizes = { microbatchTokens: [64, 128], batchRequests: [8, 16], hostKvBytes: [own / 2, own] };
    for (const each of [plan, unlike]) {
      const known = new Map<string, unknown>();
      const isShared = (value: unknown, ...which: readonly unknown[]): void => {
        const text = JSON.stringify(which);
        expect(known.get(text) ?? value).toBe(value);
        known.set(text, value);
      };
      for (const { strategy, base, stages } of findCandidates(each, undefined, sizes)) {
        isShared(base, hostKvBytes(base));
        for (const stage of stages) {
          const { name, devices: on, mesh } = stage;
          isShared(on, strategy, name, on);
          isShared(mesh, strategy, name, on, mesh);
          isShared(stage, strategy, stage);
        }
      }
    }
  });

  it('makes plans that compile', () => {
    for (const candidate of findCandidates(plan)) {
      const { diagnostics } = compilePlan(candidatePlan(candidate));
      const errors = diagnostics.filter(({ severity }) => severity === 'error');
      expect(errors, candidateLabel(candidate)).toEqual([]);
    }
  });

  it('keeps to the residence of the plan where stages take turns', () => {
    const [candidate] = findCandidates({ ...plan, residence: 'switch' }, ['re-sharded']);
    expect(candidatePlan(candidate!).residence).toBe('switch');
  });

  it('exceeds none of the caps of KV that it is to try, and tries the largest alone where nothing is handed over', () => {
    const own = hostKvBytes(plan)!;
    const caps = (strategy: Strategy, ...tried: readonly number[]): readonly (number | undefined)[] => {
      const sizes = { microbatchTokens: [64], batchRequests: [8], hostKvBytes: tried };
      return [...new Set(findCandidates(plan, [strategy], sizes).map(({ base }) => hostKvBytes(base)))];
    };
    expect(caps('re-sharded', own / 4, own / 2)).toEqual([own / 4, own / 2]);
    expect(caps('fused', own / 4, own / 2)).toEqual([own / 2]);
    expect(caps('fused', own, own / 2)).toEqual([own]);
    expect(caps('fused', 2 * own)).toEqual([own]);
  });

  it('gives all of a cap to hosts that have as much, where others have less', () => {
    const [tier] = plan.topology.tiers;
    const hosts = [
      { group: 'big', capacity: 70 },
      { group: 'small', capacity: 10 },
    ];
    const topology = {
      ...plan.topology,
      devices: plan.topology.devices.map((device, i) => ({ ...device, group: hosts[i % 2]!.group })),
      tiers: hosts.map((host) => ({ ...tier!, ...host, path: `${host.group}.host` })),
    };
    const unequal = { ...plan, topology };
    const tried = [80, 60, 40, 19, 18];
    const sizes = { microbatchTokens: [64], batchRequests: [8], hostKvBytes: tried };
    const found = findCandidates(unequal, ['re-sharded'], sizes).map(({ base }) => base);
    expect([...new Set(found.map(hostKvBytes))]).toEqual([80, 60, 40, 18]);
    const caps = found.map(({ kv }) => kv.tiers.find(({ name }) => name === 'host')!.cap);
    expect([...new Set(caps)]).toEqual([undefined, 50, 30, 9]);
  });

  it('hands nothing over without a tier', () => {
    const bare = makePlan({ stages: [{ name: 'serve', mesh: { tp: 2 } }], kv: { hostCapacity: null } });
    expect(new Set(findCandidates(bare).map(({ strategy }) => strategy))).toEqual(new Set(['fused']));
  });
});
