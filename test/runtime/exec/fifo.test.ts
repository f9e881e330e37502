import { describe, expect, it } from 'vitest';
import { createFifo, createFifos } from '../../../runtime/exec/fifo.js';

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

describe('fifos', () => {
  it('run works that share a key in the order of asking, and others beside them, also after a failure', async () => {
    const fifos = createFifos<number>();
    const log: string[] = [];
    const work = (name: string, keys: readonly number[], fails = false) => {
      let end = (): void => undefined;
      const over = new Promise<void>((resolve) => (end = resolve));
      const done = fifos.run(keys, async () => {
        log.push(`${name} in`);
        await over;
        if (fails) throw new Error(name);
      });
      return { end, done: done.catch(() => log.push(`${name} failed`)) };
    };
    const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const [a, b, c, d] = [work('a', [0]), work('b', [1], true), work('c', [0, 1]), work('d', [1])];
    await settle();
    expect(log).toEqual(['a in', 'b in']);
    b.end();
    await settle();
    expect(log).toEqual(['a in', 'b in', 'b failed']);
    a.end();
    await settle();
    expect(log.slice(3)).toEqual(['c in']);
    c.end();
    d.end();
    await Promise.all([a, b, c, d].map(({ done }) => done));
    expect(log.slice(4)).toEqual(['d in']);
  });
});
