import { expect, it } from 'vitest';
import { createTurns } from '../../../runtime/exec/turns.js';

it('gives one turn per round of the event loop, the most urgent first', async () => {
  const turns = createTurns();
  const log: string[] = [];
  const take = async (name: string, urgency: number): Promise<void> => {
    await turns.take(urgency);
    log.push(name);
  };
  const all = [take('b', 2), take('a', 1), take('later b', 2), take('c', 3)];
  await new Promise((resolve) => setImmediate(resolve));
  expect(log).toEqual(['a']);
  all.push(take('late a', 1));
  await Promise.all(all);
  expect(log).toEqual(['a', 'late a', 'b', 'later b', 'c']);
});
