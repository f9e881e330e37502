import { describe, expect, it } from 'vitest';
import { printedValue, value } from './support.js';

describe('single values', () => {
  it.each([
    ['4', '4'],
    ['1_000', '1000'],
    ['0.8', '0.8'],
    ['24 GiB', '24 GiB'],
    ['300GB/s', '300 GB/s'],
    ['20%', '20 %'],
    ['"a\\n\\"b\\u0041"', '"a\\n\\"bA"'],
    ['true', 'true'],
    ['gpu', 'gpu'],
    ['gpu[0..3]', 'gpu[0..3]'],
    ['node[0..7].gpu[2]', 'node[0..7].gpu[2]'],
    ['[1, 2,]', '[1, 2]'],
    ['[]', '[]'],
    ['{ f16: 121 TFLOPS, 8: 1.8 GB/s }', '{ f16: 121 TFLOPS, 8: 1.8 GB/s }'],
    ['{ a: 1\n b: 2 }', '{ a: 1, b: 2 }'],
    ['(pp: 2, tp: fill)', 'mesh(pp: 2, tp: fill)'],
    ['()', 'mesh()'],
    ['random(7)', 'random(7)'],
    ['normal(2620 tokens, 300 tokens)', 'normal(2620 tokens, 300 tokens)'],
    ['bytes(prefill -> decode, per: token)', 'bytes(<prefill -> decode>, per: token)'],
    ['gpu -> host up to 400 GiB -> nvme', '<gpu -> host up to 400 GiB -> nvme>'],
    ['host up to 1 GB', '<host up to 1 GB>'],
  ])('%s', (text, printed) => {
    expect(printedValue(text)).toBe(printed);
  });
  it('tells booleans, paths and quantities apart', () => {
    expect(value('true')).toMatchObject({ kind: 'bool', value: true });
    expect(value('true.x').kind).toBe('path');
    expect(value('20%')).toMatchObject({ kind: 'quantity', value: 20, unit: { text: '%' } });
  });
});

describe('operators', () => {
  it.each([
    ['1 + 2 * 3', '(1 + (2 * 3))'],
    ['1 - 2 - 3', '((1 - 2) - 3)'],
    ['8 / 2 / 2', '((8 / 2) / 2)'],
    ['(1 + 2) * 3', '((1 + 2) * 3)'],
    ['a or b and c', '(a or (b and c))'],
    ['a < b and c >= d', '((a < b) and (c >= d))'],
    ['not a < b and c', '((not (a < b)) and c)'],
    ['not not a', '(not (not a))'],
    ['-a * b', '((-a) * b)'],
    ['1 - -2', '(1 - (-2))'],
    ['not -a + 1 == b', '(not (((-a) + 1) == b))'],
    ['a == b != c', '((a == b) != c)'],
    ['2 * 24 GB + 1 GB', '((2 * 24 GB) + 1 GB)'],
    ['a +\n b\n + c', '((a + b) + c)'],
  ])('%s', (text, printed) => {
    expect(printedValue(text)).toBe(printed);
  });
  it('covers the parentheses with the span', () => {
    const source = 'model m {\n  v: (1 + 2) * 3\n}';
    const { span } = value('(1 + 2) * 3');
    expect(source.slice(span.start, span.end)).toBe('(1 + 2) * 3');
  });
});
