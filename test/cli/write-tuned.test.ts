/** A plan that was found, put into the text of a plan file. */
import { describe, expect, it } from 'vitest';
import { withTunedPlan, type Written } from '../../cli/write-tuned.js';
import { checkFile } from '../../compiler/check/check-file.js';
import {
  candidateLabel,
  candidatePlan,
  findCandidates,
  type SizeChoices,
  type Strategy,
} from '../../compiler/planner/candidates.js';

const SIZES: SizeChoices = { microbatchTokens: [256], batchRequests: [16] };

const MODEL = `model small {
  family: llama
  layers: 4, hidden: 512, heads: 8, kv_heads: 4, ffn: 1024, vocab: 1000, context: 512
  weights: f16
}
`;

/** Takes a candidate of the only plan of `main.plan` as found, and puts it there. */
function written(
  files: Readonly<Record<string, string>>,
  strategy: Strategy,
  label: string,
  sizes: SizeChoices = SIZES,
  set?: Readonly<Record<string, string>>,
): Written {
  const path = 'main.plan';
  const text = files[path]!;
  const host = {
    readText: (each: string) => files[each],
    resolve: (_from: string, path: string) => path,
    readModelConfig: () => ({ kind: 'missing' as const, path: '', why: 'there is none' }),
  };
  const { plans, diagnostics } = checkFile(host, path, set && { set });
  expect(diagnostics).toEqual([]);
  const [plan] = plans;
  const found = findCandidates(plan!, [strategy], sizes).find((each) => candidateLabel(each) === label);
  return withTunedPlan({ host, path, text, set }, plan!, candidatePlan(found!));
}

describe('withTunedPlan', () => {
  it('writes a plan whose KV begins on other devices than that of the plan it was tuned from', () => {
    const unlike = `device reader { memory: 40 GB, bandwidth: 3000 GB/s, compute: { f16: 2 TFLOPS } }
device counter { memory: 40 GB, bandwidth: 100 GB/s, compute: { f16: 300 TFLOPS } }
topology t {
  first[1]: reader
  second[1]: counter
  tier host { capacity: 64 GiB }
  link first <-> second { bandwidth: 20 GB/s }
  link first <-> host { bandwidth: 50 GB/s }
  link second <-> host { bandwidth: 50 GB/s }
}
${MODEL}
plan p for small on t {
  stage serve: prefill + decode on first, second { mesh (dp: 2), microbatch: 256 tokens, batch: 16 requests }
}
`;
    for (const [label, devices] of [
      ['1 counter (tp: 1) + 1 reader (tp: 1)', 'second'],
      ['1 reader (tp: 1) + 1 counter (tp: 1)', 'first'],
    ] as const) {
      const found = written({ 'main.plan': unlike }, 'disaggregated', label);
      expect(found).toMatchObject({ kind: 'written', name: 'p_tuned' });
      expect(found.declaration).toContain(`stage prefill on ${devices} {`);
    }
  });

  const parts = (kv: string): string => `import { l4 } from "std/devices"
param cap: bytes = 64 MB
param use: fraction = 70%
param type: name = int8
topology box {
  gpu[2]: l4
  tier host { capacity: 64 GiB }
  link gpu <-> host { bandwidth: 12 GB/s }
  link gpu <-> gpu { bandwidth: 4 GB/s }
}
${MODEL}
plan base for small on box {
  memory_use: use
  weights: type
  stage serve: prefill + decode on gpu { mesh (tp: 2) }
  kv { ${kv} }
}
`;

  it('writes in figures what means something else here: params of another file', () => {
    // Its own params of those names are others.
    const main = `import { base, small as model_here, box } from "parts.plan"
param use: fraction = 80%
param type: name = f16
plan mine from base {}
`;
    const files = { 'parts.plan': parts('page: 32 tokens, tiers: gpu -> host up to cap'), 'main.plan': main };
    const found = written(files, 'fused', '(tp: 2)');
    expect(found).toMatchObject({ kind: 'written', name: 'mine_tuned' });
    expect(found.declaration).toContain('plan mine_tuned for model_here on box {');
    expect(found.declaration).toContain('kv { page: 32 tokens, dtype: f16, tiers: gpu -> host up to 64 MB }');
    expect(found.declaration).toContain('memory_use: 70%');
    expect(found.declaration).toContain('weights: int8');
    // With another cap nothing of the KV is as it was written, and all else as before.
    const capped = written(files, 're-sharded', '(pp: 2) -> (tp: 2)', { ...SIZES, hostKvBytes: [32e6] });
    expect(capped).toMatchObject({ kind: 'written' });
    expect(capped.declaration).toContain('host up to 32 MB');
  });

  it('writes in figures a type of weights that alone is another here', () => {
    const main = `import { base, small, box } from "parts.plan"
param use: fraction = 70%
param type: name = f16
plan mine from base {}
`;
    const found = written({ 'parts.plan': parts('page: 32 tokens'), 'main.plan': main }, 'fused', '(tp: 2)');
    expect(found).toMatchObject({ kind: 'written' });
    expect(found.declaration).toContain('weights: int8');
  });

  it('writes in figures a block of KV that adds to that of the plan it is from', () => {
    const main = `import { base, small, box } from "parts.plan"
param use: fraction = 70%
plan mine from base { memory_use: 65.432%, weights: f16, kv { page: 16 tokens } }
`;
    const files = { 'parts.plan': parts('tiers: gpu -> host up to cap'), 'main.plan': main };
    const found = written(files, 'fused', '(tp: 2)');
    expect(found).toMatchObject({ kind: 'written' });
    expect(found.declaration).toContain('kv { page: 16 tokens, dtype: f16, tiers: gpu -> host up to 64 MB }');
    expect(found.declaration).toContain('memory_use: 65.432%');
  });

  it('keeps what reads back as it is written', () => {
    const files = {
      'parts.plan': parts('page: 32 tokens'),
      'main.plan': `import { small, box } from "parts.plan"
param use: fraction = 80%
plan mine for small on box {
  memory_use: use
  stage serve: prefill + decode on gpu { mesh (tp: 2) }
  kv { page: 32 tokens }
}
`,
    };
    const found = written(files, 'fused', '(dp: 2)');
    expect(found).toMatchObject({ kind: 'written' });
    expect(found.declaration).toContain('memory_use: use\n  kv { page: 32 tokens }\n');
  });

  const cards = (param: string, stage: string): Readonly<Record<string, string>> => ({
    'main.plan': `import { l4 } from "std/devices"
param ${param}
topology box {
  gpu[cards]: l4
  tier host { capacity: 64 GiB }
  link gpu <-> host { bandwidth: 12 GB/s }
  link gpu <-> gpu { bandwidth: 4 GB/s }
}
${MODEL}
plan p for small on box { stage serve: prefill + decode on ${stage} }
`,
  });
  const errorsOf = (found: Written, set?: Readonly<Record<string, string>>): readonly string[] => {
    const host = {
      readText: () => (found.kind === 'written' ? found.text : undefined),
      resolve: (_from: string, path: string) => path,
      readModelConfig: () => ({ kind: 'missing' as const, path: '', why: 'there is none' }),
    };
    return checkFile(host, 'main.plan', set && { set }).diagnostics.map(({ message }) => message);
  };

  it('writes an axis as `fill` where the size found is an error with other values of a param', () => {
    const files = cards('cards: int = 4 in [2, 4]', 'gpu { mesh (tp: fill) }');
    const usual = written(files, 're-sharded', '(pp: 4) -> (tp: 4)');
    expect(usual).toMatchObject({ kind: 'written' });
    expect(usual.declaration).toMatch(/mesh \(pp: fill\)[^]*mesh \(tp: fill\)/);
    expect(errorsOf(usual)).toEqual([]);
    // The only value that was looked at is not the one that the file has.
    const set = { cards: '2' };
    const other = written(files, 're-sharded', '(pp: 2) -> (tp: 2)', SIZES, set);
    expect(other.declaration).toMatch(/mesh \(pp: fill\)[^]*mesh \(tp: fill\)/);
    expect(errorsOf(other)).toEqual([]);
    expect(errorsOf(other, set)).toEqual([]);
    // Only `dp` may be 3: the last axis will not do.
    const odd = cards('cards: int = 4 in [4, 12]', 'gpu { mesh (dp: fill) }');
    const first = written(odd, 'fused', '(dp: 2, tp: 2)');
    expect(first.declaration).toContain('mesh (dp: fill, tp: 2)');
    expect(errorsOf(first)).toEqual([]);
  });

  it('writes nothing where no mesh does, and names the values', () => {
    const files = cards('cards: int = 4 in [2, 4]', 'gpu { mesh (tp: fill) }');
    const two = ['disaggregated', '2 (tp: 2) + 2 (tp: 2)'] as const;
    const found = written(files, ...two);
    expect(found).toMatchObject({ kind: 'unsound', declaration: expect.stringContaining('gpu[2..3]') });
    expect(found).toMatchObject({
      why: expect.stringMatching(/^plan p_tuned would be an error with cards = 2: /),
    });
    const fixed = written(cards('cards: int = 2', 'gpu { mesh (tp: fill) }'), ...two, SIZES, { cards: '4' });
    expect(fixed).toMatchObject({ why: expect.stringMatching(/would be an error without `--set`: /) });
  });

  it('writes the size found where the plan it was tuned from is an error with other values, too', () => {
    const files = cards('cards: int = 2', 'gpu { mesh (tp: 4) }');
    const found = written(files, 'fused', '(pp: 4)', SIZES, { cards: '4' });
    expect(found).toMatchObject({ kind: 'written' });
    expect(found.declaration).toContain('mesh (pp: 4)');
  });
});
