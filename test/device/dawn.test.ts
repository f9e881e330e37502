import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../runtime/device/device.js';
import { openDevices } from '../../runtime/device/dawn.js';
import { listAdapters } from '../../runtime/device/dawn-instance.js';
import { NAP } from '../../runtime/device/naps.js';
import type { RuntimeFailure } from '../../runtime/failure.js';
import { defineKernel, readWrite } from '../../runtime/kernels/wgsl.js';
import { turnsUntil } from '../fixtures/turns.js';

/** out[i] = out[i] * factor + add, over as many words as rows. */
const scale = (factor: number) =>
  defineKernel({
    name: 'scale',
    bindings: [readWrite('out', 'u32')],
    immediates: ['rows', 'add'],
    constants: [['factor', 'u32', factor]],
    workgroup: [1, 1, 1],
    grid: (rows) => [rows, 1, 1],
    body: '  if (wg.x < im.rows) { out[wg.x] = out[wg.x] * im.factor + im.add; }',
  });

describe('a Dawn device', () => {
  let devices: Device[];
  let device: Device;
  beforeAll(async () => {
    devices = await openDevices(2, { labels: ['left', 'right'] });
    device = devices[0]!;
  });
  afterAll(() => {
    for (const one of devices) one.destroy();
  });
  const words = (bytes: Uint8Array): number[] => Array.from(new Uint32Array(bytes.buffer));
  const bytesOf = (values: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

  it('is reported by listAdapters', async () => {
    const [adapter] = await listAdapters();
    expect(adapter!.limits['maxBufferSize']).toBeGreaterThanOrEqual(device.limits.maxBufferBytes);
    expect(devices.map(({ label }) => label)).toEqual(['left', 'right']);
  });

  it('leaves the processors to a software device while it waits for it', async ({ skip }) => {
    const [adapter] = await listAdapters();
    if (!adapter!.software) skip('a GPU computes by itself');
    const buffer = device.createBuffer('waited for', 1 << 18);
    const kernel = await device.createKernel(scale(5));
    const bound = device.bind(kernel, [{ buffer }]);
    const { turns, took } = await turnsUntil(
      (async () => {
        device.record((commands) => {
          for (let i = 0; i < 20; i++) commands.dispatch(bound, Uint32Array.of(60_000, 1), [60_000, 1, 1]);
        });
        await device.idle();
      })(),
    );
    // Some turns come before the first nap.
    expect(turns).toBeLessThanOrEqual(took / NAP + 200);
    device.free(buffer);
  });

  it('orders writes, dispatches and copies, and reads several ranges of any alignment', async () => {
    const a = device.createBuffer('a', 64);
    const b = device.createBuffer('b', 64);
    const [twice, thrice] = await Promise.all([scale(2), scale(3)].map((one) => device.createKernel(one)));
    device.write(a, 0, bytesOf([1, 2, 3, 4]));
    device.record((commands) => {
      commands.dispatch(device.bind(twice!, [{ buffer: a }]), Uint32Array.of(4, 1), [4, 1, 1]);
      commands.copy(a, 4, b, 0, 8);
      commands.dispatch(device.bind(thrice!, [{ buffer: a }]), Uint32Array.of(4, 0), [4, 1, 1]);
    });
    const first = device.read([{ buffer: a, offset: 0, bytes: 16 }]);
    device.write(a, 0, bytesOf([9]));
    const second = device.read([
      { buffer: a, offset: 0, bytes: 4 },
      { buffer: b, offset: 1, bytes: 6 },
      { buffer: b, offset: 0, bytes: 0 },
      { buffer: b, offset: 4, bytes: 4 },
    ]);
    expect(words((await first)[0]!)).toEqual([9, 15, 21, 27]);
    const [rewritten, odd, none, tail] = await second;
    expect(words(rewritten!)).toEqual([9]);
    expect(Array.from(odd!)).toEqual([0, 0, 0, 7, 0, 0]);
    expect(none!.byteLength).toBe(0);
    expect(words(tail!)).toEqual([7]);
    device.free(a);
    device.free(b);
  });

  it('moves more than a chunk, from shared memory too', async () => {
    const bytes = 40 * 1024 * 1024;
    const buffer = device.createBuffer('large', bytes);
    const data = new Uint8Array(new SharedArrayBuffer(bytes));
    new Uint32Array(data.buffer).forEach((_, i, all) => (all[i] = i));
    device.write(buffer, 0, data);
    const [back] = await device.read([{ buffer, offset: 0, bytes }]);
    expect(Buffer.compare(back!, data)).toBe(0);
    device.free(buffer);
  });

  it('counts live and peak bytes', () => {
    const before = device.memory.live;
    const buffer = device.createBuffer('counted', 1000);
    expect(device.memory.live - before).toBe(buffer.bytes);
    expect(device.memory.peak).toBeGreaterThanOrEqual(device.memory.live);
    device.free(buffer);
    expect(device.memory.live).toBe(before);
  });

  it('refuses a buffer beyond the limit with FC0903', () => {
    expect(() => device.createBuffer('vast', device.limits.maxBufferBytes + 4)).toThrow(
      expect.objectContaining({ code: 'FC0903' }) as RuntimeFailure,
    );
  });

  it('rejects a kernel that does not compile with its diagnostics', async () => {
    const broken = { ...scale(1), key: 'broken', wgsl: 'fn main() { let x: u32 = 1.5; }' };
    await expect(device.createKernel(broken)).rejects.toThrow(/broken does not compile:\n1:\d+ /);
  });

  it('does not swallow a misuse of the API', async () => {
    const small = device.createBuffer('small', 16);
    device.record((commands) => commands.copy(small, 0, small, 0, 1024));
    await expect(device.idle()).rejects.toThrow(/WebGPU error on left/);
    await expect(device.idle()).resolves.toBeUndefined();
    device.free(small);
  });

  it('compiles a text once for all devices', async () => {
    const kernels = await Promise.all(devices.map((one) => one.createKernel(scale(5))));
    const results = await Promise.all(
      devices.map(async (one, i) => {
        const buffer = one.createBuffer('x', 16);
        one.write(buffer, 0, bytesOf([i + 1, 0, 0, 0]));
        const bound = one.bind(kernels[i]!, [{ buffer }]);
        one.record((commands) => commands.dispatch(bound, Uint32Array.of(1, 0), [1, 1, 1]));
        return words((await one.read([{ buffer, offset: 0, bytes: 4 }]))[0]!);
      }),
    );
    expect(results).toEqual([[5], [10]]);
  });
});

describe('opening devices', () => {
  it('fails with FC0901 and help where there is no adapter', async () => {
    await expect(openDevices(1, { adapter: 'no such adapter' })).rejects.toMatchObject({
      code: 'FC0901',
      details: { help: expect.stringContaining('npm run demo') as string },
    });
  });
});
