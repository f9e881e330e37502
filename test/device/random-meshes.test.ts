/** Random pairs of stage meshes on one to eight devices: whatever the sharding, the reference's answers. */
import { beforeAll, describe, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import type { Mesh } from '../../compiler/plan/plan.js';
import { makePlan } from '../compiler/support/make-plan.js';
import type { StageOptions } from '../compiler/support/make-plan.js';
import { seededRandom } from '../fixtures/random.js';
import { CLERK, clerkExpectations, expectReferenceAnswers } from './support/clerk.js';
import type { Expected } from './support/clerk.js';
import { shapeOf } from './support/shape.js';

interface Combination {
  readonly name: string;
  readonly stages: readonly StageOptions[];
}

/** New tokens of a prompt. What meshes can break shows in the first ones; every mesh costs seconds to set up as it is. */
const TOKENS = 12;

const show = ({ dp, pp, tp }: Mesh): string => `dp${dp} pp${pp} tp${tp}`;

/** Meshes of a device count that the demo model can take: 4 kv heads, 8 layers. */
function meshes(devices: number): Mesh[] {
  return [1, 2, 4].flatMap((tp) =>
    [1, 2, 3, 4, 5, 6, 7, 8].flatMap((pp) => {
      const dp = devices / (tp * pp);
      return Number.isInteger(dp) ? [{ dp, pp, tp }] : [];
    }),
  );
}

/** 21 distinct combinations, a third of each kind: re-sharded, disaggregated, fused; sizes and page lengths vary. */
function combinations(): Combination[] {
  const random = seededRandom(20);
  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)]!;
  const found = new Map<string, Combination>();
  while (found.size < 21) {
    const kind = (['reshard', 'split', 'fused'] as const)[found.size % 3]!;
    const count = pick(kind === 'split' ? [1, 2, 3, 4] : [2, 3, 4, 4, 5, 6, 8, 8]);
    const microbatchTokens = pick([40, 64, 200, 512]);
    const batchRequests = pick([5, 16, 32]);
    const first = pick(meshes(count));
    const second = pick(meshes(kind === 'split' ? 1 + random.below(4) : count));
    const size = second.dp * second.pp * second.tp;
    const offset = kind === 'split' ? count : 0;
    const devices = Array.from({ length: size }, (_, i) => offset + i);
    const combination: Combination =
      kind === 'fused'
        ? {
            name: `fused ${show(first)}, microbatch ${microbatchTokens}`,
            stages: [{ name: 'serve', mesh: first, microbatchTokens, batchRequests }],
          }
        : {
            name: `${kind} ${show(first)} -> ${show(second)}, microbatch ${microbatchTokens}, batch ${batchRequests}`,
            stages: [
              { name: 'prefill', mesh: first, microbatchTokens, batchRequests },
              { name: 'decode', mesh: second, devices, microbatchTokens, batchRequests },
            ],
          };
    found.set(combination.name, combination);
  }
  return [...found.values()];
}

describe('random stage meshes', () => {
  let expected: readonly Expected[];

  beforeAll(() => {
    expected = clerkExpectations()
      .filter((_, i) => i % 3 === 0)
      .map(({ prompt, steps }) => ({ prompt, steps: steps.slice(0, TOKENS) }));
  });

  it.each(combinations().map((combination): [string, Combination] => [combination.name, combination]))(
    '%s',
    async (_name, { stages }) => {
      const plan = makePlan({ shape: shapeOf(CLERK), stages, kv: { pageTokens: 8 } });
      const { runtime } = compilePlan(plan);
      await expectReferenceAnswers(runtime!, CLERK, expected);
    },
  );
});
