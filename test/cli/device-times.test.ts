/** The table of where the time of devices goes: short, however many there are. */
import { describe, expect, it } from 'vitest';
import { timeTable } from '../../cli/device-times.js';
import type { Stage } from '../../compiler/plan/plan.js';
import type { DeviceTime } from '../../runtime/clock/simulation.js';
import { makePlan } from '../compiler/support/make-plan.js';
import { movingPages } from './device-time.js';

/** Devices that all differ in how long they move pages. */
function devices(count: number): readonly DeviceTime[] {
  return Array.from({ length: count }, (_, id) => movingPages(id, (id + 1) / 100));
}

const stagesOver = (count: number): readonly Stage[] =>
  makePlan({ stages: [{ name: 'serve', mesh: { dp: count / 4, pp: 2, tp: 2 } }] }).stages;

describe('the time of devices', () => {
  it('is that of each as long as these are few', () => {
    const table = timeTable({ devices: devices(16), makespan: 1 }, stagesOver(16));
    expect(table.split('\n')).toHaveLength(17);
    expect(table).not.toContain('means');
  });

  it('is the mean at each place of a pipeline where they are many, with how far it goes', () => {
    const table = timeTable({ devices: devices(32), makespan: 1 }, stagesOver(32));
    const [heading, first, second, note, ...others] = table.split('\n');
    expect(heading).toMatch(/in use, least to most$/);
    // Devices 0, 1, 4, 5 and so on move pages for 1, 2, 5, 6 ... hundredths of the time.
    expect(first).toMatch(/^serve pp 0: gpu\[0\] … gpu\[1\], .*\(16 devices\) +15\.5% .* 1\.0% to 30\.0%$/);
    expect(second).toMatch(/^serve pp 1: gpu\[2\] … gpu\[3\], .*\(16 devices\) +17\.5% .* 3\.0% to 32\.0%$/);
    expect(note).toContain('--json has every device');
    expect(others).toEqual([]);
  });

  it('tells stages apart, and those that share devices', () => {
    const of = (name: string, ids: readonly number[]): Stage => ({
      ...stagesOver(32)[0]!,
      name,
      devices: ids,
      mesh: { dp: ids.length, pp: 1, tp: 1 },
    });
    const [all, half] = [devices(32).map(({ id }) => id), devices(16).map(({ id }) => id)];
    const table = timeTable({ devices: devices(32), makespan: 1 }, [of('prefill', all), of('decode', half)]);
    expect(table).toMatch(/^prefill, decode: gpu\[0\] … gpu\[15\] \(16 devices\)/m);
    expect(table).toMatch(/^prefill: gpu\[16\] … gpu\[31\] \(16 devices\)/m);
  });
});
