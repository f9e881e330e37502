/** Plans whose stages stay resident together give the reference's answers, and move no weights. */
import { beforeAll, describe, expect, it } from 'vitest';
import { fileHost } from '../../cli/file-host.js';
import { checkFile } from '../../compiler/check/check-file.js';
import { compilePlan } from '../../compiler/compile.js';
import { CLERK, clerkExpectations, expectReferenceAnswers } from './support/clerk.js';
import type { Expected } from './support/clerk.js';

const { plans } = checkFile(fileHost(), 'plans/clerk.plan');

describe('residence: both', () => {
  let expected: readonly Expected[];

  beforeAll(() => {
    expected = clerkExpectations();
  });

  it.each(['reshard', 'hybrid', 'replicas'])('plan %s agrees with the reference', async (name) => {
    const plan = { ...plans.find((candidate) => candidate.name === name)!, residence: 'both' } as const;
    const { runtime, transitions, diagnostics } = compilePlan(plan);
    expect(diagnostics).toEqual([]);
    expect(transitions.residence?.both).toBe(true);
    expect(runtime.transitions).toEqual([]);
    await expectReferenceAnswers(runtime, CLERK, expected);
  });
});
