/** Units that are none here: what is offered in their place is as much as was written. */
import { describe, expect, it } from 'vitest';
import type { Diagnostic } from '../../../compiler/diagnostics/diagnostic.js';
import { checkText } from './memory-host.js';

/** What the first problem of a text offers, as its fixes leave the text between « and ». */
function offered(before: string, value: string, after: string): readonly string[] {
  const found: readonly Diagnostic[] = checkText(`${before}${value}${after}`).diagnostics.filter(
    ({ slug }) => slug !== 'missing-property',
  );
  expect(found.length, `${value}: ${found.map(({ message }) => message).join('; ')}`).toBe(1);
  return found[0]!.fixes.map(({ edits: [edit] }) => {
    const { start, end } = edit!.origin.span;
    const from = before.length;
    return value.slice(0, start - from) + edit!.newText + value.slice(end - from);
  });
}

const inLink = (property: string, value: string): readonly string[] =>
  offered(`device d { }\ntopology t { gpu[2]: d\nlink gpu <-> gpu { ${property}: `, value, ' } }');
const inDevice = (property: string, value: string): readonly string[] =>
  offered(`device d { ${property}: `, value, ' }');

describe('a time in another unit', () => {
  it.each([
    // The sign for micro and the Greek letter.
    ['20 \u00b5s', '20 us'],
    ['20 \u03bcs', '20 us'],
    ['1_000 usec', '1_000 us'],
    ['10 microseconds', '10 us'],
    ['3 msec', '3 ms'],
    ['3 MS', '3 ms'],
    ['2 sec', '2 s'],
    ['1.5 min', '90 s'],
    ['2 h', '7200 s'],
  ])('%s is offered as %s', (written, meant) => {
    expect(inLink('latency', written)).toEqual([meant]);
  });
});

describe('a rate in another unit', () => {
  it.each([
    ['400 Gbit/s', ['50 GB/s']],
    ['100 Gbits/sec', ['12.5 GB/s']],
    ['8 Mbit/s', ['1 MB/s']],
    ['24 Gibit/s', ['3 GiB/s']],
    ['300 GB/ms', ['300 TB/s']],
    ['6 GB/min', ['100 MB/s']],
    ['300 GBps', ['300 GB/s']],
    ['300 kB/s', ['300 KB/s']],
    // A small letter is a bit, where it is meant.
    ['300 Gb/s', ['37.5 GB/s', '300 GB/s']],
    ['300 gbps', ['37.5 GB/s', '300 GB/s']],
    // Bits that are not said to be by the second.
    ['400 Gbit', ['50 GB/s']],
    // Nothing that changes the amount.
    ['300 GX/s', []],
    ['300 min', []],
  ])('%s is offered as %j', (written, meant) => {
    expect(inLink('bandwidth', written)).toEqual(meant);
  });

  it('is one where it is divided by a time', () => {
    expect(inLink('bandwidth', '300 GB / s')).toEqual(['300 GB/s']);
    expect(inLink('bandwidth', '300 GB/ s')).toEqual(['300 GB/s']);
  });

  it('and a param of it', () => {
    expect(offered('param a: rate = ', '400 Gbit/s', '')).toEqual(['50 GB/s']);
    expect(checkText('param s: time = 1 ms\nparam a: rate = 300 GB / s').diagnostics).toEqual([]);
  });
});

describe('a size and a speed in another unit', () => {
  it.each([
    ['memory', '24 Gib', ['24 GiB', '3 GiB']],
    ['memory', '24 G', ['24 GiB', '24 GB']],
    ['memory', '24 Gi', ['24 GiB']],
    ['memory', '24 gigs', []],
    ['bandwidth', '300 GB', ['300 GB/s']],
    ['attention_rows', '16 k', []],
  ])('%s: %s is offered as %j', (property, written, meant) => {
    expect(inDevice(property, written)).toEqual(meant);
  });

  it.each([
    ['121 TFLOP/s', '121 TFLOPS'],
    ['121 tflops', '121 TFLOPS'],
    ['660 TOPS', '660 TFLOPS'],
    ['121e12 FLOPS', '121 TFLOPS'],
    ['1 EFLOPS', '1000 PFLOPS'],
  ])('%s is offered as %s', (written, meant) => {
    expect(offered('device d { compute: { f16: ', written, ' } }')).toEqual([meant]);
  });

  it.each([
    ['16 toks', '16 tokens'],
    ['16 tokns', '16 tokens'],
  ])('%s is offered as %s', (written, meant) => {
    expect(offered('workload w { requests: 1, output: 1, prompt: ', written, ' }')).toEqual([meant]);
  });
});

describe('a number without a unit', () => {
  it.each([
    ['4e9', ['4 GB/s']],
    ['4294967296', ['4 GiB/s']],
    ['300', ['300 GB/s', '300 GiB/s']],
    ['1e30', []],
  ])('%s is a rate of %j', (written, meant) => {
    expect(inLink('bandwidth', written)).toEqual(meant);
  });

  it.each([
    ['0.00002', ['20 us']],
    ['20', ['20 us', '20 ms', '20 s']],
    ['0', ['0 us', '0 ms', '0 s']],
  ])('%s is a time of %j', (written, meant) => {
    expect(inLink('latency', written)).toEqual(meant);
  });

  it('is a speed or a size where it is in their base unit', () => {
    expect(offered('device d { compute: { f16: ', '121e12', ' } }')).toEqual(['121 TFLOPS']);
    expect(inDevice('memory', '24e9')).toEqual(['24 GB']);
    expect(inDevice('memory', '1234567890123')).toEqual(['1234567890123 B']);
    expect(inDevice('memory', '24')).toEqual(['24 GB', '24 GiB', '24 MiB']);
    expect(inDevice('memory', '6144')).toEqual(['6144 B', '6144 GB', '6144 GiB', '6144 MiB']);
  });
});

describe('a value below its range', () => {
  it('keeps its unit', () => {
    expect(inLink('latency', '-20 us')).toEqual(['0 us']);
    expect(inDevice('largest_binding', '1 B')).toEqual(['4 B']);
    expect(inLink('latency', '-(20 us)')).toEqual(['0 us']);
  });

  it('of a param has no fix, for that would be another value', () => {
    const param = 'param late: time = 1 us\n';
    const text = `${param}device d { }\ntopology t { gpu[2]: d\nlink gpu <-> gpu { latency: `;
    expect(offered(text, '-late', ' } }')).toEqual([]);
  });
});
