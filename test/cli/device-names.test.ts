/** Devices that have something in common: a range is one only where nothing is missing in it. */
import { describe, expect, it } from 'vitest';
import { nameDevices } from '../../cli/device-names.js';
import { deviceGroups } from '../../cli/device-times.js';
import { noSeconds } from '../../compiler/cost/program-cost.js';
import type { DeviceTime } from '../../runtime/clock/simulation.js';

const named = (...ids: readonly number[]): readonly { id: number; path: string }[] =>
  ids.map((id) => ({ id, path: `gpu[${id}]` }));

describe('devices together', () => {
  it.each([
    [[2], 'gpu[2]', 'gpu[2]'],
    [[0, 1, 2, 3], 'gpu[0] … gpu[3]', 'gpu[0] … gpu[3] (4 devices)'],
    [[0, 3], 'gpu[0], gpu[3]', 'gpu[0], gpu[3]'],
    [[0, 1, 4, 5], 'gpu[0] … gpu[1], gpu[4] … gpu[5]', 'gpu[0] … gpu[1], gpu[4] … gpu[5] (4 devices)'],
    [[0, 2, 4, 6], 'gpu[0], gpu[2], … (4 devices)', 'gpu[0], gpu[2], … (4 devices)'],
  ])('are named as they lie: %j', (ids, plain, counted) => {
    expect(nameDevices(named(...ids))).toBe(plain);
    expect(nameDevices(named(...ids), { counted: true })).toBe(counted);
  });

  it('of a simulation are those that share their figures, be there unused ones between or others', () => {
    const device = (id: number, pages: number): DeviceTime => ({
      id,
      device: `gpu[${id}]`,
      seconds: noSeconds(),
      exposedTransition: 0,
      pages,
      idle: 1 - pages,
      bubbles: 0,
      peak: { weights: 1, workspace: 1, kv: 1, total: 3 },
      budget: 4,
    });
    const devices = [device(0, 0.5), device(1, 0), device(3, 0.5), device(5, 0), device(6, 0)];
    expect(deviceGroups({ devices, makespan: 1 }).map(({ names }) => names)).toEqual([
      'gpu[0], gpu[3]',
      'gpu[1], gpu[5] … gpu[6] (3 devices)',
    ]);
  });
});
