/** Naps between the turns of the event loop while a software device is waited for. */
import { describe, expect, it } from 'vitest';
import { NAP, napUntil } from '../../../runtime/device/naps.js';
import { turnsUntil } from '../../fixtures/turns.js';

/** No more than that with naps between them, but for those before the first nap. */
const slowTurns = (took: number): number => took / NAP + 200;

const after = (milliseconds: number): Promise<string> =>
  new Promise((resolve) => setTimeout(() => resolve('done'), milliseconds));

describe('napUntil', () => {
  it('turns about once a nap until all that is waited for is done', async () => {
    const some = Promise.all([napUntil(after(5)), napUntil(after(20))]);
    const { turns, took } = await turnsUntil(some);
    expect(await some).toEqual(['done', 'done']);
    expect(turns).toBeLessThanOrEqual(slowTurns(took));
    expect(took).toBeGreaterThanOrEqual(19);
  });

  it('naps no longer behind that, and again for what comes then', async () => {
    await napUntil(after(1));
    await after(1);
    const { turns, took } = await turnsUntil(after(20));
    expect(turns).toBeGreaterThan(slowTurns(took));
    const again = await turnsUntil(napUntil(after(20)));
    expect(again.turns).toBeLessThanOrEqual(slowTurns(again.took));
  });

  it('fails as the work does', async () => {
    await expect(napUntil(Promise.reject(new Error('lost')))).rejects.toThrow('lost');
  });
});
