import { describe, expect, it } from 'vitest';
import type { Place } from '../../../runtime/exec/weight-arena.js';
import { createPassages } from '../../../runtime/exec/passages.js';

/** Whether a promise has resolved by now, or there was nothing to wait for. */
async function isSettled(promise: Promise<unknown> | undefined): Promise<boolean> {
  let settled = false;
  void Promise.resolve(promise).then(() => (settled = true));
  await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

const buffer = { label: 'arena', bytes: 100 };
const place = (offset: number): Place => ({ buffer, offset, bytes: 10 });
/** A program that reads what lies at 0 up to op 2 and what lies at 10 up to op 5. */
const uses = [
  { place: place(0), last: 2 },
  { place: place(10), last: 5 },
];

describe('passages', () => {
  it('tell when a device gets its first step, and when its last has left', () => {
    const told: string[] = [];
    const passages = createPassages((device, busy) => told.push(`${device} ${busy}`));
    const [first, second] = [passages.enter(0, 'prefill', uses), passages.enter(0, 'decode', uses)];
    expect(told).toEqual(['0 true']);
    first.leave();
    first.leave();
    expect(told).toEqual(['0 true']);
    passages.enter(1, 'prefill', uses);
    second.leave();
    second.leave();
    expect(told).toEqual(['0 true', '1 true', '0 false']);
  });

  it('waits for the steps that have entered the device, and for no later one', async () => {
    const passages = createPassages();
    const first = passages.enter(0, 'prefill', uses);
    const second = passages.enter(0, 'prefill', uses);
    const past = passages.leaving(0).past(place(5));
    const later = passages.enter(0, 'prefill', uses);
    first.leave();
    expect(await isSettled(past)).toBe(false);
    second.leave();
    expect(await isSettled(past)).toBe(true);
    expect(await isSettled(passages.leaving(0).past(place(5)))).toBe(false);
    later.leave();
    later.leave();
    expect(await isSettled(passages.leaving(0).past(place(5)))).toBe(true);
  });

  it('lets a place be written as soon as its last reader is submitted', async () => {
    const passages = createPassages();
    const step = passages.enter(0, 'prefill', uses);
    const leaving = passages.leaving(0);
    const [first, both, second] = [leaving.past(place(0)), leaving.past(place(5)), leaving.past(place(10))];
    expect(await isSettled(leaving.past(place(20)))).toBe(true);
    step.advance(2);
    expect(await isSettled(first)).toBe(false);
    step.advance(3);
    expect(await isSettled(first)).toBe(true);
    expect(await isSettled(both)).toBe(false);
    expect(await isSettled(leaving.past(place(0)))).toBe(true);
    step.advance(6);
    expect(await isSettled(both)).toBe(true);
    expect(await isSettled(second)).toBe(true);
  });

  it('keeps devices apart', async () => {
    const passages = createPassages();
    passages.enter(1, 'prefill', uses);
    expect(await isSettled(passages.leaving(0).past(place(0)))).toBe(true);
    expect(await isSettled(passages.leaving(1).past(place(0)))).toBe(false);
  });

  it('tells the steps of other residences apart', async () => {
    const passages = createPassages();
    const old = passages.enter(0, 'prefill', uses);
    passages.enter(0, 'decode', uses);
    expect(passages.clearedOfOthers(1, 'decode')).toBeUndefined();
    const others = passages.clearedOfOthers(0, 'decode')!;
    old.advance(6);
    expect(await isSettled(others)).toBe(false);
    old.leave();
    expect(await isSettled(others)).toBe(true);
    expect(passages.clearedOfOthers(0, 'decode')).toBeUndefined();
  });
});
