import { expect, it } from 'vitest';
import { measureBandwidth } from '../../../runtime/device/bandwidth.js';
import { memoryDevice } from '../support/memory-device.js';

it('measures what comes back without paging in new memory for it', async () => {
  const device = memoryDevice();
  const staged = new Uint8Array(32 * 1024 * 1024);
  const reads: number[] = [];
  let visits = 0;
  const measured = await measureBandwidth({
    ...device,
    read: (ranges) => {
      reads.push(...ranges.map(({ bytes }) => bytes));
      return device.read(ranges);
    },
    readThrough: (_build, [range], visit) => {
      visits++;
      visit(staged.subarray(0, range!.bytes));
      return Promise.resolve();
    },
  });
  expect(Math.max(...reads)).toBe(4);
  expect(visits).toBeGreaterThan(1);
  for (const figure of Object.values(measured)) expect(figure).toBeGreaterThan(0);
  expect(device.live()).toEqual([]);
});
