import { describe, expect, it } from 'vitest';
import { createFifo } from '../../../runtime/exec/fifo.js';

describe('fifo', () => {
  it('runs work in order, one at a time, also after a failure', async () => {
    const fifo = createFifo();
    const log: string[] = [];
    const work = (name: string, delay: number, fails = false) =>
      fifo.run(async () => {
        log.push(`${name} in`);
        await new Promise((resolve) => setTimeout(resolve, delay));
        log.push(`${name} out`);
        if (fails) throw new Error(name);
        return name;
      });
    const results = await Promise.allSettled([work('a', 5), work('b', 1, true), work('c', 0)]);
    expect(log).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });
});
