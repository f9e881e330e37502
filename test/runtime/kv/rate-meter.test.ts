import { describe, expect, it } from 'vitest';
import { createRateMeter } from '../../../runtime/kv/rate-meter.js';

const MIB = 1024 * 1024;

function meterAt(): { readonly meter: ReturnType<typeof createRateMeter>; at(ms: number): void } {
  let now = 0;
  return { meter: createRateMeter(() => now), at: (ms) => (now = ms) };
}

describe('a rate meter', () => {
  it('knows nothing before something moved', () => {
    expect(meterAt().meter.rate()).toBeUndefined();
  });

  it('counts busy time alone', () => {
    const { meter, at } = meterAt();
    for (const start of [1000, 60_000]) {
      at(start);
      const end = meter.begin();
      at(start + 500);
      end(MIB);
    }
    expect(meter.rate()).toBeCloseTo(2 * MIB, 3);
  });

  it('counts the time of transfers that overlap once', () => {
    const { meter, at } = meterAt();
    const first = meter.begin();
    const second = meter.begin();
    at(1000);
    first(MIB);
    second(MIB);
    expect(meter.rate()! / (2 * MIB)).toBeCloseTo(1, 2);
  });

  it('follows a disk that becomes slower', () => {
    const { meter, at } = meterAt();
    let now = 0;
    const move = (milliseconds: number): void => {
      at(now);
      const end = meter.begin();
      at((now += milliseconds));
      end(64 * MIB);
    };
    for (let i = 0; i < 50; i++) move(100);
    expect(meter.rate()).toBeCloseTo(640 * MIB, 3);
    for (let i = 0; i < 50; i++) move(1000);
    expect(meter.rate()! / (64 * MIB)).toBeCloseTo(1, 2);
  });
});
