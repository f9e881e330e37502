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
});

it('refuses what has no time from now on', () => {
  const clock = createVirtualClock();
  let ran = 0;
  clock.at(2, () => ran++);
  clock.advance();
  for (const add of [clock.at, clock.behind])
    for (const time of [1, NaN, -Infinity])
      expect(() => add(time, () => ran++), `${time}`).toThrow(`at ${time} s, as it is 2 s already`);
  expect(clock.advance()).toBe(false);
  expect(ran).toBe(1);
});
