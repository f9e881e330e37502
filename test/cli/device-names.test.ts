/** Devices that have something in common: a range is one only where nothing is missing in it. */
import { describe, expect, it } from 'vitest';
import { nameDevices } from '../../cli/device-names.js';
import { deviceGroups } from '../../cli/device-times.js';
import { movingPages } from './device-time.js';

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
    const devices = [
      movingPages(0, 0.5),
      movingPages(1, 0),
      movingPages(3, 0.5),
      movingPages(5, 0),
      movingPages(6, 0),
    ];
    expect(deviceGroups({ devices, makespan: 1 }).map(({ names }) => names)).toEqual([
      'gpu[0], gpu[3]',
      'gpu[1], gpu[5] … gpu[6] (3 devices)',
    ]);
  });
});
