/** Naps between the turns of the event loop while a software device is waited for. */
import { describe, expect, it } from 'vitest';
import { NAP, napUntil } from '../../../runtime/device/naps.js';
import { turnsUntil } from '../../fixtures/turns.js';

const after = (milliseconds: number): Promise<string> =>
  new Promise((resolve) => setTimeout(() => resolve('done'), milliseconds));

describe('napUntil', () => {
  it('turns no more often than once a nap until all that is waited for is done', async () => {
    const some = Promise.all([napUntil(after(5)), napUntil(after(20))]);
    const { turns, took } = await turnsUntil(some);
    expect(await some).toEqual(['done', 'done']);
    expect(turns).toBeLessThanOrEqual(took / NAP + 3);
    expect(took).toBeGreaterThanOrEqual(19);
  });

  it('naps no longer behind that, and again for what comes then', async () => {
    await napUntil(after(1));
    await after(1);
    const { turns, took } = await turnsUntil(after(20));
    expect(turns).toBeGreaterThan(took / NAP + 3);
    const again = await turnsUntil(napUntil(after(10)));
    expect(again.turns).toBeLessThanOrEqual(again.took / NAP + 3);
  });

  it('fails as the work does', async () => {
    await expect(napUntil(Promise.reject(new Error('lost')))).rejects.toThrow('lost');
  });
});
