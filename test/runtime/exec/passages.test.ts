import { describe, expect, it } from 'vitest';
import { createPassages } from '../../../runtime/exec/passages.js';

/** Whether a promise has resolved by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => (settled = true));
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

describe('passages', () => {
  it('waits for the steps that have entered the device, and for no later one', async () => {
    const passages = createPassages();
    const first = passages.enter(0, 'prefill');
    const second = passages.enter(0, 'prefill');
    const cleared = passages.cleared(0);
    const later = passages.enter(0, 'prefill');
    first();
    expect(await isSettled(cleared)).toBe(false);
    second();
    expect(await isSettled(cleared)).toBe(true);
    expect(await isSettled(passages.cleared(0))).toBe(false);
    later();
    later();
    expect(await isSettled(passages.cleared(0))).toBe(true);
  });

  it('keeps devices apart', async () => {
    const passages = createPassages();
    passages.enter(1, 'prefill');
    expect(await isSettled(passages.cleared(0))).toBe(true);
    expect(await isSettled(passages.cleared(1))).toBe(false);
  });

  it('tells the steps of other residences apart', async () => {
    const passages = createPassages();
    const old = passages.enter(0, 'prefill');
    passages.enter(0, 'decode');
    expect(passages.clearedOfOthers(1, 'decode')).toBeUndefined();
    const others = passages.clearedOfOthers(0, 'decode')!;
    expect(await isSettled(others)).toBe(false);
    old();
    expect(await isSettled(others)).toBe(true);
    expect(passages.clearedOfOthers(0, 'decode')).toBeUndefined();
  });
});
