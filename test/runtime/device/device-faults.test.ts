import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { watchFaults } from '../../../runtime/device/device-faults.js';

class OutOfMemory {
  constructor(readonly message: string) {}
}
beforeEach(() => void vi.stubGlobal('GPUOutOfMemoryError', OutOfMemory));
afterEach(() => void vi.unstubAllGlobals());

/** A device whose errors and loss a test brings about. */
function watched() {
  let raise: (event: { readonly error: unknown }) => void = () => undefined;
  let lose: (info: { readonly message: string; readonly reason: string }) => void = () => undefined;
  const device = {
    lost: new Promise((resolve) => (lose = resolve)),
    addEventListener: (_type: string, listener: typeof raise) => (raise = listener),
  } as unknown as GPUDevice;
  const faults = watchFaults(device, 'gpu[0]');
  return {
    faults,
    raise: (error: unknown) => raise({ error }),
    lose: (message: string) => lose({ message, reason: 'unknown' }),
  };
}

describe('the faults of a device', () => {
  it('leave work alone that succeeds or fails by itself', async () => {
    const { faults } = watched();
    expect(await faults.settle(Promise.resolve(7))).toBe(7);
    await expect(faults.settle(Promise.reject(new Error('its own')))).rejects.toThrow('its own');
  });

  it('are told once, the first of them, by the work that is awaited next', async () => {
    const { faults, raise } = watched();
    raise(new OutOfMemory('16 GiB'));
    raise(new Error('a later one'));
    await expect(faults.settle(Promise.resolve())).rejects.toMatchObject({
      code: 'FC0903',
      message: 'gpu[0] ran out of memory: 16 GiB',
    });
    await expect(faults.settle(Promise.resolve())).resolves.toBeUndefined();
    raise(new Error('invalid bind group'));
    await expect(faults.settle(Promise.reject(new Error('map failed')))).rejects.toThrow(
      'WebGPU error on gpu[0]: invalid bind group',
    );
  });

  it('are its loss for all work from then on, also for work that fails before the reason comes', async () => {
    const { faults, lose } = watched();
    const failing = faults.settle(Promise.reject(new Error('aborted')));
    lose(' the driver stopped ');
    const gone = { code: 'FC0902', message: 'gpu[0] was lost: the driver stopped' };
    await expect(failing).rejects.toMatchObject(gone);
    await expect(faults.settle(Promise.resolve())).rejects.toMatchObject(gone);
    expect(await faults.lost).toBe('the driver stopped');
  });

  it('are none once it is left on purpose', async () => {
    const { faults, lose } = watched();
    faults.leave();
    lose('destroyed');
    await expect(faults.settle(Promise.resolve(3))).resolves.toBe(3);
  });
});
