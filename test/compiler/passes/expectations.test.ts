import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { judgeBound } from '../../../compiler/passes/judge-expectation.js';
import type { CheckedExpectation, Plan } from '../../../compiler/plan/plan.js';
import { makePlan, originAt } from '../support/make-plan.js';

type Bound = Extract<CheckedExpectation, { kind: 'bound' }>;

const PLAN = makePlan({
  stages: [
    { name: 'prefill', mesh: { pp: 4 } },
    { name: 'decode', mesh: { tp: 4 } },
  ],
});

/** Messages about one expectation of the plan. */
function unmet(expectation: Omit<Bound, 'kind' | 'origin'>): string[] {
  const plan: Plan = { ...PLAN, expectations: [{ kind: 'bound', origin: originAt(), ...expectation }] };
  return compilePlan(plan).diagnostics.map((diagnostic) => diagnostic.message);
}

const EDGE = { from: 'prefill', to: 'decode' };
const { runtime, transitions } = compilePlan(PLAN);
const PEAK = Math.max(...runtime.devices.map((device) => device.peak.total));

describe('expectations', () => {
  it.each<[string, Omit<Bound, 'kind' | 'origin' | 'op' | 'limit'>, number]>([
    ['peak', { measure: 'peak', stage: 'decode' }, PEAK],
    [
      'peak of some devices',
      { measure: 'peak', stage: 'decode', devices: { text: 'gpu[1..2]', ids: [1, 2] } },
      Math.max(...runtime.devices.slice(1, 3).map(({ peak }) => peak.total)),
    ],
    ['collectives per layer', { measure: 'collectives', stage: 'decode', per: 'layer' }, 2],
    ['collectives per step', { measure: 'collectives', stage: 'decode', per: 'step' }, 2 * 4 + 1],
    ['collectives of a pipeline', { measure: 'collectives', stage: 'prefill', per: 'step' }, 0],
    ['bytes per token', { measure: 'bytes', edge: EDGE, per: 'token' }, 4 * 4 * 2 * 8 * 4],
    [
      'bytes per transition',
      { measure: 'bytes', edge: EDGE, per: 'transition' },
      transitions.weights[0]!.lowerBound,
    ],
  ])('compare %s with its exact figure', (_what, expectation, figure) => {
    expect(unmet({ ...expectation, op: '<=', limit: figure })).toEqual([]);
    expect(unmet({ ...expectation, op: '==', limit: figure })).toEqual([]);
    expect(unmet({ ...expectation, op: '<', limit: figure })).toHaveLength(1);
    expect(unmet({ ...expectation, op: '>=', limit: figure + 1 })).toHaveLength(1);
  });

  it.each<[measure: Bound['measure'], figure: string]>([
    ['peak', '2 B'],
    ['collectives', '2'],
    ['bytes', '2 B'],
    ['transitions', '2'],
    ['time', '2 s'],
  ])('show a figure of %s in its own unit, also where it equals the bound', (measure, figure) => {
    const about = { kind: 'bound' as const, measure, op: '<' as const, limit: 2, origin: originAt() };
    const diagnostic = judgeBound(about, 2, '', () => ({ related: [], notes: [] }));
    expect(diagnostic!.message.split(',')[0]).toBe(`${measure} is ${figure}`);
  });

  it('refuse an op that must never be', () => {
    const never = (op: 'all_reduce' | 'send', stage: string): number =>
      compilePlan({ ...PLAN, expectations: [{ kind: 'never', op, stage, origin: originAt() }] }).diagnostics
        .length;
    expect([never('all_reduce', 'decode'), never('send', 'prefill')]).toEqual([1, 1]);
    expect([never('all_reduce', 'prefill'), never('send', 'decode')]).toEqual([0, 0]);
  });

  it('show the ops, moves and memory that broke them, and where these come from', () => {
    const found = (expectation: Omit<Bound, 'kind' | 'origin'>) => {
      const plan: Plan = { ...PLAN, expectations: [{ kind: 'bound', origin: originAt(), ...expectation }] };
      return compilePlan(plan).diagnostics[0]!;
    };
    const collectives = found({ measure: 'collectives', stage: 'decode', per: 'step', op: '<', limit: 1 });
    expect(collectives.notes[0]).toMatch(/^decode\/p0\/\d+: all_reduce/);
    expect(collectives.notes.at(-1)).toBe('and 5 more');
    expect(collectives.related).toHaveLength(1);
    const peak = found({ measure: 'peak', stage: 'decode', op: '<', limit: 1 });
    expect(peak.notes).toEqual([expect.stringMatching(/^gpu\[\d\]: weights .*, workspace .*, KV /)]);
    const bytes = found({ measure: 'bytes', edge: EDGE, per: 'transition', op: '<', limit: 1 });
    expect(bytes.related).toMatchObject([
      { ...transitions.weights[0]!.origin, label: expect.any(String) as string },
    ]);
  });

  it('show the figure in the unit of the bound, and the bound as it is written', () => {
    const bytes = { measure: 'bytes', edge: EDGE, per: 'token', op: '<=' } as const;
    expect(unmet({ ...bytes, limit: 256, unit: 'KiB' })).toEqual([
      'bytes(prefill -> decode, per: token) is 1 KiB, expected <= 0.25 KiB',
    ]);
    expect(unmet({ ...bytes, limit: 500, unit: 'B' })).toEqual([
      'bytes(prefill -> decode, per: token) is 1024 B, expected <= 500 B',
    ]);
  });

  it('leave to the run what only a run can tell', () => {
    expect(unmet({ measure: 'transitions', op: '<', limit: 0 })).toEqual([]);
  });
});
