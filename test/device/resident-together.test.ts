/** Plans whose stages stay resident together, whole or in part, give the reference's answers. */
import { beforeAll, describe, expect, it } from 'vitest';
import { fileHost } from '../../runtime/file-host.js';
import { checkFile } from '../../compiler/check/check-file.js';
import { compilePlan } from '../../compiler/compile.js';
import { halfResident } from '../compiler/support/half-resident.js';
import { CLERK, clerkExpectations, expectReferenceAnswers } from './support/clerk.js';
import type { Expected } from './support/clerk.js';

const { plans } = checkFile(fileHost(), 'plans/clerk.plan');

describe('stages resident together', () => {
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

  it.each(['reshard', 'hybrid'])('plan %s agrees where only some layers stay in both', async (name) => {
    const plan = halfResident(plans.find((candidate) => candidate.name === name)!)!;
    const { runtime, transitions, diagnostics } = compilePlan(plan);
    expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
    const { layers } = transitions.residence!;
    expect(layers!.length).toBeGreaterThan(0);
    expect(layers!.length).toBeLessThan(plan.model.shape.layers);
    // The rest of the layers moves.
    const uploads = runtime.transitions.flatMap(({ moves }) => moves.flatMap(({ upload }) => upload));
    expect(uploads.length).toBeGreaterThan(0);
    await expectReferenceAnswers(runtime, CLERK, expected);
  });
});
