/** Rows copied by the kernel and by commands land where they should, and nothing else changes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDevices } from '../../runtime/device/dawn.js';
import type { Device } from '../../runtime/device/device.js';
import { copyKernels, recordCopy } from '../../runtime/exec/strided-copy.js';
import type { RowCopy } from '../../runtime/exec/strided-copy.js';

const BYTES = 64 * 1024;

describe('row copies', () => {
  let device: Device;

  beforeAll(async () => {
    device = (await openDevices(1))[0]!;
  });
  afterAll(() => device.destroy());

  it.each([
    ['by commands', 5, 20, 4],
    ['by the narrow kernel', 100, 20, 4],
    ['by the narrow kernel, more than a workgroup wide', 40, 500, 4],
    ['by the wide kernel', 100, 32, 16],
    ['by the wide kernel, more than a workgroup wide', 21, 1600, 16],
  ])('%s', async (_, rows, runBytes, word) => {
    const content = Uint8Array.from({ length: BYTES }, (_byte, i) => (i * 193 + (i >> 8)) % 256);
    const source = device.createBuffer('source', BYTES);
    const sink = device.createBuffer('sink', BYTES);
    device.write(source, 0, content);
    const copy: RowCopy = {
      from: { buffer: source, offset: 256, bytes: BYTES - 256 },
      fromAt: 3 * word,
      fromStride: runBytes + 2 * word,
      to: { buffer: sink, offset: 512, bytes: BYTES - 512 },
      toAt: word,
      toStride: runBytes + 9 * word,
      runBytes,
      rows,
    };
    const kernels = await copyKernels(device);
    device.record((commands) => recordCopy(device, commands, copy, kernels));
    const expected = new Uint8Array(BYTES);
    for (let row = 0; row < rows; row++) {
      const from = 256 + copy.fromAt + row * copy.fromStride;
      expected.set(content.subarray(from, from + runBytes), 512 + copy.toAt + row * copy.toStride);
    }
    expect((await device.read([{ buffer: sink, offset: 0, bytes: BYTES }]))[0]).toEqual(expected);
  });
});
