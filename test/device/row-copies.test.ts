/** Rows copied on a device land where they should, and nothing else changes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDevices } from '../../runtime/device/dawn.js';
import type { Device, RowCopy } from '../../runtime/device/device.js';

const BYTES = 256 * 1024;

type Runs = Omit<RowCopy, 'from' | 'to'>;

const content = Uint8Array.from({ length: BYTES }, (_byte, i) => (i * 193 + (i >> 8)) % 256);

function expected(
  sink: Uint8Array,
  { fromAt, fromStride, toAt, toStride, runBytes, rows }: Runs,
): Uint8Array {
  const result = Uint8Array.from(sink);
  for (let row = 0; row < rows; row++) {
    const from = fromAt + row * fromStride;
    result.set(content.subarray(from, from + runBytes), toAt + row * toStride);
  }
  return result;
}

/** Index of the first byte that differs, -1 when none does. */
function firstDifference(found: Uint8Array, wanted: Uint8Array): number {
  return wanted.findIndex((byte, i) => byte !== found[i]);
}

const CASES: readonly (readonly [string, Runs])[] = [
  ['one run', { fromAt: 4, fromStride: 0, toAt: 100, toStride: 0, runBytes: 1000, rows: 1 }],
  ['one long run', { fromAt: 12, fromStride: 9, toAt: 68_000, toStride: 9, runBytes: 60_004, rows: 1 }],
  ['dense rows', { fromAt: 8, fromStride: 96, toAt: 80_000, toStride: 96, runBytes: 96, rows: 77 }],
  ['aligned rows', { fromAt: 256, fromStride: 512, toAt: 132_000, toStride: 768, runBytes: 128, rows: 99 }],
  ['rows of odd strides', { fromAt: 4, fromStride: 100, toAt: 8, toStride: 364, runBytes: 44, rows: 300 }],
  ['fewer rows than turns', { fromAt: 0, fromStride: 20, toAt: 4, toStride: 36, runBytes: 16, rows: 5 }],
  ['longer than scratch', { fromAt: 0, fromStride: 5120, toAt: 4, toStride: 6144, runBytes: 4900, rows: 40 }],
  ['long runs', { fromAt: 0, fromStride: 20_000, toAt: 16, toStride: 40_000, runBytes: 17_000, rows: 5 }],
];

describe('row copies', () => {
  let device: Device;

  beforeAll(async () => {
    device = (await openDevices(1))[0]!;
  });
  afterAll(() => device.destroy());

  it.each(CASES)('%s', async (_, runs) => {
    const source = device.createBuffer('source', BYTES);
    const sink = device.createBuffer('sink', BYTES);
    const scratch = device.createRowScratch('rows', 32 * 1024);
    device.write(source, 0, content);
    device.record((commands) => commands.copyRows({ ...runs, from: source, to: sink }, scratch));
    const [found] = await device.read([{ buffer: sink, offset: 0, bytes: BYTES }]);
    expect(firstDifference(found!, expected(new Uint8Array(BYTES), runs))).toBe(-1);
    for (const each of [source, sink, scratch]) device.free(each);
  });

  it.each([
    ['a run', { fromAt: 20, fromStride: 0, toAt: 131_076, toStride: 0, runBytes: 99_996, rows: 1 }],
    [
      'rows between each other',
      { fromAt: 0, fromStride: 512, toAt: 192, toStride: 512, runBytes: 64, rows: 400 },
    ],
    [
      'rows to another stride',
      { fromAt: 120_000, fromStride: 260, toAt: 16, toStride: 64, runBytes: 48, rows: 500 },
    ],
  ])('within one buffer: %s', async (_, runs) => {
    const buffer = device.createBuffer('both', BYTES);
    const scratch = device.createRowScratch('rows', 16 * 1024);
    const before = device.memory.live;
    device.write(buffer, 0, content);
    device.record((commands) => commands.copyRows({ ...runs, from: buffer, to: buffer }, scratch));
    const [found] = await device.read([{ buffer, offset: 0, bytes: BYTES }]);
    expect(firstDifference(found!, expected(content, runs))).toBe(-1);
    device.free(scratch);
    expect(device.memory.live).toBe(before - scratch.bytes);
    device.free(buffer);
  });
});
