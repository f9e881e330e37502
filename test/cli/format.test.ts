import { describe, expect, it } from 'vitest';
import {
  formatBytes,
  formatDuration,
  formatRate,
  formatRequestRate,
  formatSeconds,
  formatSignedPercent,
  formatTable,
  indent,
  plural,
} from '../../cli/format.js';

describe('figures for people', () => {
  it('scales bytes by 1024', () => {
    expect([0, 1023, 1024, 10 * 1024, 1.5 * 2 ** 30].map(formatBytes)).toEqual([
      '0 B',
      '1023 B',
      '1.00 KiB',
      '10.0 KiB',
      '1.50 GiB',
    ]);
  });

  it('writes times, rates and counts', () => {
    expect(formatSeconds(1.25)).toBe('1.3 s');
    expect([59.94, 59.96, 185.2, 3599.4, 3599.6, 52_690, 2.9e10].map(formatSeconds)).toEqual([
      '59.9 s',
      '1 min 00 s',
      '3 min 05 s',
      '59 min 59 s',
      '1 h 00 min',
      '14 h 38 min',
      '8,055,555 h 33 min',
    ]);
    expect(formatRate(24_690, 2)).toBe('12,345 tokens/s');
    expect(formatRate(5, 0)).toBe('-');
    expect([0, 0.01234, 4.816, 999.4, 999.6, 4816].map(formatRequestRate)).toEqual([
      '0.00',
      '0.0123',
      '4.82',
      '999',
      '1,000',
      '4,816',
    ]);
    expect([plural(1, 'error'), plural(1000, 'error')]).toEqual(['1 error', '1,000 errors']);
  });

  it.each([
    [0, '0 s'],
    [0.31e-6, '0.310 us'],
    [9.996e-6, '10.0 us'],
    [99.96e-6, '100 us'],
    [999.4e-6, '999 us'],
    [999.6e-6, '1.00 ms'],
    [4.2e-3, '4.20 ms'],
    [0.0994, '99.4 ms'],
    [0.9994, '999 ms'],
    [0.9996, '1.00 s'],
    [1, '1.00 s'],
    [12.34, '12.3 s'],
    [59.94, '59.9 s'],
    [59.96, '1 min 00 s'],
    [60, '1 min 00 s'],
    [185.2, '3 min 05 s'],
  ])('writes three digits of %d seconds as %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });

  it('writes by how much something is more or less', () => {
    const whole = [0.126, -0.034, 0.004, -0.004, 0].map((each) => formatSignedPercent(each, 0));
    expect(whole).toEqual(['+13%', '-3%', '0%', '0%', '0%']);
    expect([0.0126, -0.0003].map((each) => formatSignedPercent(each, 1))).toEqual(['+1.3%', '0.0%']);
  });

  it('indents lines with something in them', () => {
    expect(indent('a\n\n  b\n')).toBe('  a\n\n    b\n');
  });

  it('aligns columns', () => {
    expect(
      formatTable(
        [
          ['a', '1'],
          ['long', '23', 'x'],
        ],
        [false, true],
      ),
    ).toBe('a      1\nlong  23  x');
  });
});
