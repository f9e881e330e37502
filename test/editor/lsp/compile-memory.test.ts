/** Plans that are compiled once while they say the same, wherever in the file they have got to. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { createCompileMemory } from '../../../editor/lsp/compile-memory.js';
import { checkText } from '../../compiler/check/memory-host.js';

const TEXT = readFileSync('plans/clerk.plan', 'utf8');
const plansOf = (text: string): readonly Plan[] => checkText(text).plans;

/** A memory, and how often it has compiled. */
function counted() {
  const seen = { compiled: 0 };
  const memory = createCompileMemory((plan) => {
    seen.compiled++;
    return compilePlan(plan);
  });
  return { memory, seen };
}

describe('a compile memory', () => {
  it.each([
    ['nothing', TEXT],
    ['a comment above all', `// one\n// two\n${TEXT}`],
    ['a comment between plans', TEXT.replace('plan tensor', '/// How it is.\nplan tensor')],
    [
      'white space within a plan',
      TEXT.replace('mesh (pp: 4), microbatch', 'mesh ( pp:   4 )\n    microbatch'),
    ],
  ])('compiles nothing again for %s, and the places are those of the new text', (_what, edited) => {
    const { memory, seen } = counted();
    for (const plan of plansOf(TEXT)) memory.compile(plan);
    const first = seen.compiled;
    for (const plan of plansOf(edited)) expect(memory.compile(plan)).toEqual(compilePlan(plan));
    expect(seen.compiled).toBe(first);
    for (const plan of plansOf(TEXT)) expect(memory.compile(plan)).toEqual(compilePlan(plan));
    expect(seen.compiled).toBe(first);
  });

  it('compiles the plans again that an edit concerns', () => {
    const { memory, seen } = counted();
    for (const plan of plansOf(TEXT)) memory.compile(plan);
    const first = seen.compiled;
    for (const plan of plansOf(
      TEXT.replace(
        'plan hybrid from reshard { stage decode on gpu { mesh (pp: 2, tp: 2) } }',
        'plan hybrid from reshard { stage decode on gpu { mesh (dp: 2, tp: 2) } }',
      ),
    ))
      expect(memory.compile(plan)).toEqual(compilePlan(plan));
    expect(seen.compiled).toBe(first + 1);
    for (const plan of plansOf(TEXT.replace('page: 16 tokens', 'page: 32 tokens'))) memory.compile(plan);
    // All that `reshard` hands down to others.
    expect(seen.compiled).toBeGreaterThan(first + 4);
  });

  it('recalls an answer while the plan says the same', () => {
    const { memory } = counted();
    const [plan] = plansOf(TEXT);
    const [moved] = plansOf(`\n${TEXT}`);
    const [other] = plansOf(TEXT.replace('page: 16', 'page: 32'));
    expect(memory.recall(plan!, 'q', () => 1)).toBe(1);
    expect(memory.recall(moved!, 'q', () => 2)).toBe(1);
    expect(memory.recall(moved!, 'r', () => 3)).toBe(3);
    expect(memory.recall(other!, 'q', () => 4)).toBe(4);
  });
});
