import { expect, it } from 'vitest';
import { createGate } from '../../../runtime/kv/gate.js';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('lets as many works run as it is wide, in the order they came, also while its width changes', async () => {
  const gate = createGate(2);
  const log: string[] = [];
  const ends: (() => void)[] = [];
  const works = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) =>
    gate.run(async () => {
      log.push(name);
      await new Promise<void>((resolve) => ends.push(resolve));
    }),
  );
  await settle();
  expect(log.join('')).toBe('ab');
  gate.widen(4);
  await settle();
  expect(log.join('')).toBe('abcd');
  gate.widen(1);
  for (const end of ends.splice(0, 3)) end();
  await settle();
  expect(log.join('')).toBe('abcd');
  ends.shift()!();
  await settle();
  expect(log.join('')).toBe('abcde');
  gate.widen(2);
  await settle();
  expect(log.join('')).toBe('abcdef');
  while (log.length < works.length || ends.length > 0) {
    for (const end of ends.splice(0)) end();
    await settle();
  }
  await Promise.all(works);
  expect(log.join('')).toBe('abcdefg');
});
