import { expect, it } from 'vitest';
import { fileHost } from '../../../runtime/file-host.js';
import { checkFile } from '../../../compiler/check/check-file.js';
import { compilePlan } from '../../../compiler/compile.js';
import type { Device } from '../../../runtime/device/device.js';
import { openEngine } from '../../../runtime/engine/open.js';
import { memoryDevice } from '../support/memory-device.js';

it('destroys its devices even where their last work failed', async () => {
  const plan = checkFile(fileHost(), 'plans/clerk.plan').plans.find(({ name }) => name === 'single')!;
  const { runtime: graph } = compilePlan(plan);
  let failing = false;
  let destroyed = 0;
  const device: Device = {
    ...memoryDevice(),
    createBuffer: (label, bytes) => ({ label, bytes }),
    write: () => undefined,
    record: () => undefined,
    free: () => undefined,
    createKernel: ({ key }) => Promise.resolve({ key }),
    bind: (kernel) => ({ kernel }),
    idle: () => (failing ? Promise.reject(new Error('a late fault')) : Promise.resolve()),
    destroy: () => destroyed++,
  };
  let moved = 0;
  const engine = await openEngine(graph, {
    open: () => Promise.resolve([device]),
    onMove: (_device, { uploadedBytes }) => (moved += uploadedBytes),
  });
  expect(moved).toBe(engine.stats().bytes.load);
  failing = true;
  await expect(engine.dispose()).rejects.toThrow('a late fault');
  expect(destroyed).toBe(1);
});

it('gives up opening at once when asked to, also while a kernel compiles', async () => {
  const plan = checkFile(fileHost(), 'plans/clerk.plan').plans.find(({ name }) => name === 'single')!;
  const { runtime: graph } = compilePlan(plan);
  const stop = new AbortController();
  let destroyed = 0;
  const device: Device = {
    ...memoryDevice(),
    createBuffer: (label, bytes) => ({ label, bytes }),
    write: () => undefined,
    record: () => undefined,
    free: () => undefined,
    createKernel: () => {
      stop.abort();
      return new Promise(() => undefined);
    },
    destroy: () => destroyed++,
  };
  const opening = openEngine(graph, { open: () => Promise.resolve([device]), signal: stop.signal });
  await expect(opening).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  expect(destroyed).toBe(1);
});
