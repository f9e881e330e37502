/** Quantities for people. */
import { describe, expect, it } from 'vitest';
import { formatBytesIn, formatExactBytes, formatQuantity } from '../../../compiler/check/units.js';

describe('bytes', () => {
  it.each([
    [24e9, '24 GB'],
    [1.5e12, '1.5 TB'],
    [640 * 2 ** 30, '640 GiB'],
    [10.5 * 2 ** 30, '10.5 GiB'],
    [128 * 2 ** 10, '128 KiB'],
    [1024, '1 KiB'],
    [0, '0 B'],
    [1000, '1 KB'],
    // Of neither kind: as in tables.
    [11_534_336_001, '10.7 GiB'],
    [8_192_001, '7.81 MiB'],
    [1023, '1023 B'],
    // Of a unit no more than makes one of the next.
    [2 ** 40 - 2 ** 20, '1.00 TiB'],
    [2 ** 30 - 1, '1.00 GiB'],
    [1023.9 * 2 ** 30, '1023.9 GiB'],
  ])('%d are %s', (bytes, text) => {
    expect(formatQuantity(bytes, 'bytes')).toBe(text);
  });

  it.each([
    [10752 * 2 ** 20, '10.5 GiB'],
    [1025 * 2 ** 20, '1025 MiB'],
    [1_234_567, '1234567 B'],
  ])('%d are no less when they are to be read again', (bytes, text) => {
    expect(formatExactBytes(bytes)).toBe(text);
  });

  it('take the unit that they are asked in', () => {
    expect(formatBytesIn(131_072, 'KiB')).toBe('128 KiB');
    expect(formatBytesIn(11.8e9, 'GiB')).toBe('11.0 GiB');
    expect(formatBytesIn(1536 * 2 ** 10, 'MiB')).toBe('1.5 MiB');
  });

  it('by the second are decimal', () => {
    expect(formatQuantity(64 * 2 ** 30, 'bytes/s')).toBe('68.7 GB/s');
    expect(formatQuantity(999.4e9, 'bytes/s')).toBe('999 GB/s');
    expect(formatQuantity(999.7e9, 'bytes/s')).toBe('1 TB/s');
  });
});
