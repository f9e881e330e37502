/** Numbers beyond all reason: refused where they are written, before anything is reckoned with them. */
import { describe, expect, it } from 'vitest';
import { divisors } from '../../../compiler/check/plan/mesh.js';
import { fused, WORLD } from './marked.js';
import { checkText } from './memory-host.js';

const PLAN = fused('mesh (tp: 4, dp: 2)');

/** Messages where `written` stands in place of `usual`. */
function messages(usual: string, written: string): readonly string[] {
  expect(PLAN).toContain(usual);
  return checkText(PLAN.replace(usual, written)).diagnostics.map(({ message }) => message);
}

describe('a number beyond all reason', () => {
  it.each([
    ['bandwidth: 300 GB/s', 'bandwidth: 1e-308 GB/s', '`bandwidth` is too small to reckon with'],
    ['bandwidth: 300 GB/s', 'bandwidth: 1e290 GB/s', '`bandwidth` is'],
    ['f32: 10 TFLOPS', 'f16: 1e-308 TFLOPS', '`f16` of `compute` is too small to reckon with'],
    ['f32: 10 TFLOPS', 'f32: 1e100 TFLOPS', '`f32` of `compute` is'],
    ['compute:', 'attention_rows: 1e308, compute:', '`attention_rows` is 1e+308'],
    ['compute:', 'largest_binding: 1 B, compute:', '`largest_binding` is 1 B'],
    ['compute:', 'shared: { 2: 1e-16% }, compute:', '`2` of `shared` is 1e-16%'],
    ['bandwidth: 10 GB/s', 'bandwidth: 10 GB/s, latency: 1e308 us', '`latency` is 1e+302 s'],
    ['bandwidth: 10 GB/s', 'bandwidth: 10 GB/s, allreduce: { 4: 1e-308 GB/s }', '`4` of `allreduce`'],
    ['gpu[8]', 'gpu[1e308]', 'the count is 1e+308'],
    ['tp: 4', 'tp: 1e308', '`tp` is 1e+308'],
    ['hidden: 512', 'hidden: 1e308', '`hidden` is 1e+308'],
    ['heads: 8', 'heads: 400_000_001', '`heads` is 400000001'],
    ['kv_heads: 4', 'kv_heads: 4_000_000_000_001', '`kv_heads` is 4000000000001'],
    ['ffn: 1536', 'ffn: 1e15', '`ffn` is 1000000000000000'],
    ['vocab: 1000', 'vocab: 1e15', '`vocab` is 1000000000000000'],
    ['context: 2048', 'context: 1e15', '`context` is 1000000000000000 tokens'],
  ])('%s as %s', (usual, written, says) => {
    const [first, ...others] = messages(usual, written);
    expect(first).toContain(says);
    expect(first).toMatch(/; it must be a (value|whole number) of at least .* and at most /);
    expect(others).toEqual([]);
  });

  it('is no number of ranks either', () => {
    const ranks = `${'9'.repeat(400)}: 1 GB/s`;
    expect(messages('bandwidth: 10 GB/s', `bandwidth: 10 GB/s, allreduce: { ${ranks} }`)).toEqual([
      expect.stringContaining('whole numbers from 2 on as keys'),
    ]);
  });

  it('is not advised in place of one that is out of range', () => {
    const { diagnostics } = checkText(WORLD.replace('bandwidth: 300 GB/s', 'bandwidth: 1e-308 GB/s'));
    expect(diagnostics.map(({ fixes }) => fixes)).toEqual([[]]);
  });
});

describe('divisors', () => {
  it.each([
    [1, [1]],
    [7, [1, 7]],
    [12, [1, 2, 3, 4, 6, 12]],
    [36, [1, 2, 3, 4, 6, 9, 12, 18, 36]],
  ])('of %i', (n, expected) => {
    expect(divisors(n)).toEqual(expected);
  });

  it('of a large number, without trying every smaller one', () => {
    expect(divisors(4_000_000_000_001).at(-1)).toBe(4_000_000_000_001);
  });
});
