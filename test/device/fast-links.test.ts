/** A plan whose links favour moves between devices runs on a backend that has none. */
import { expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import { makePlan } from '../compiler/support/make-plan.js';
import { CLERK, clerkExpectations, expectReferenceAnswers } from './support/clerk.js';
import { shapeOf } from './support/shape.js';

it('gives the reference answers though the compiler moves weights between devices', async () => {
  const stages = [
    { name: 'prefill', mesh: { pp: 2 } },
    { name: 'decode', mesh: { tp: 2 } },
  ];
  const { runtime } = compilePlan(makePlan({ shape: shapeOf(CLERK), stages, peerBandwidth: 500e9 }));
  expect(runtime.transitions.some(({ moves }) => moves.some(({ receive }) => receive !== undefined))).toBe(
    true,
  );
  await expectReferenceAnswers(runtime, CLERK, clerkExpectations().slice(0, 8));
});
