import { describe, expect, it } from 'vitest';
import { createBusyClock, createExposureClock } from '../../../runtime/engine/clock.js';

describe('busy clock', () => {
  it('counts overlapping activities once', () => {
    let now = 0;
    const clock = createBusyClock(() => now);
    clock.begin();
    now = 1000;
    clock.begin();
    now = 3000;
    clock.end();
    now = 4000;
    expect(clock.seconds()).toBe(4);
    clock.end();
    now = 9000;
    expect(clock.seconds()).toBe(4);
  });
});

describe('exposure clock', () => {
  it('counts the parts of transitions in which nothing is computed', () => {
    let now = 0;
    const clock = createExposureClock(() => now);
    const oldStep = clock.compute();
    now = 1000;
    const end = clock.transition();
    now = 2000;
    expect(clock.seconds()).toBe(0);
    oldStep();
    now = 5000;
    expect(clock.seconds()).toBe(3);
    const newStep = clock.compute();
    now = 7000;
    newStep();
    newStep();
    now = 7500;
    end();
    now = 9000;
    expect(clock.seconds()).toBe(3.5);
  });
});
