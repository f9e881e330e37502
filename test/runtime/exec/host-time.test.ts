import { describe, expect, it } from 'vitest';
import { createHostTime, timed } from '../../../runtime/exec/host-time.js';

describe('host time', () => {
  it('goes to the kind of work alone, and gives back what the work does', () => {
    const time = createHostTime();
    expect(timed(time, 'encode', () => Array.from({ length: 100_000 }, (_, i) => i).length)).toBe(100_000);
    expect(time.encode).toBeGreaterThan(0);
    expect(time).toMatchObject({ submit: 0, exchange: 0, sample: 0 });
  });

  it('is counted for work that fails', () => {
    const time = createHostTime();
    const fail = (): never => {
      throw new Error(`nothing in ${Array.from({ length: 100_000 }, (_, i) => i).length}`);
    };
    expect(() => timed(time, 'submit', fail)).toThrow('nothing in');
    expect(time.submit).toBeGreaterThan(0);
  });
});
