/** In which order callbacks run. */
import { expect, it } from 'vitest';
import { createVirtualClock } from '../../../runtime/clock/virtual-clock.js';

it('runs callbacks by time, then in the order of their making, and those behind a moment at its end', () => {
  const clock = createVirtualClock();
  const ran: string[] = [];
  const note = (name: string) => (): void => {
    ran.push(`${clock.now()} ${name}`);
  };
  clock.behind(1, note('behind'));
  clock.at(2, note('later'));
  clock.at(1, () => {
    note('first')();
    clock.at(1, note('made at that time'));
  });
  clock.at(1, note('second'));
  clock.behind(1, note('behind that'));
  while (clock.advance());
  expect(ran).toEqual(['1 first', '1 second', '1 made at that time', '1 behind', '1 behind that', '2 later']);
  expect(() => clock.at(1, note('past'))).toThrow('before');
});
