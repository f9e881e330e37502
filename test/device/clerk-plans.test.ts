/** Every plan of plans/clerk.plan gives the f64 reference's greedy ids and logits. */
import { beforeAll, describe, expect, it } from 'vitest';
import { fileHost } from '../../runtime/file-host.js';
import { checkFile } from '../../compiler/check/check-file.js';
import { compilePlan } from '../../compiler/compile.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { CLERK, clerkExpectations, expectReferenceAnswers } from './support/clerk.js';
import type { Expected } from './support/clerk.js';

const checked = checkFile(fileHost(), 'plans/clerk.plan');

describe('plans/clerk.plan', () => {
  let expected: readonly Expected[];

  beforeAll(() => {
    expected = clerkExpectations();
  });

  it('has its seven plans and no errors', () => {
    expect(checked.diagnostics.filter((diagnostic) => diagnostic.severity === 'error')).toEqual([]);
    expect(checked.plans.map((plan) => plan.name)).toEqual([
      'reshard',
      'pipeline',
      'tensor',
      'hybrid',
      'replicas',
      'single',
      'split',
    ]);
  });

  it.each(checked.plans.map((plan): [string, Plan] => [plan.name, plan]))(
    'plan %s agrees with the reference on 32 prompts',
    async (_name, plan) => {
      const { runtime, diagnostics } = compilePlan(plan);
      expect(diagnostics).toEqual([]);
      await expectReferenceAnswers(runtime!, CLERK, expected);
    },
  );

  it('agrees with barriers and every move verified, too', async () => {
    const { runtime } = compilePlan(checked.plans.find((plan) => plan.name === 'reshard')!);
    const engine = { transitions: 'barrier', verifyMoves: true } as const;
    await expectReferenceAnswers(runtime, CLERK, expected.slice(0, 12), engine);
  });
});
