import { describe, expect, it } from 'vitest';
import { longestSequence, rejection } from '../../../runtime/scheduler/limits.js';
import { configOf } from './configs.js';
import { createDriver } from './driver.js';

const request = (promptTokens: number, maxNewTokens: number) => ({ id: 0, promptTokens, maxNewTokens });

describe('longestSequence', () => {
  it('is what the narrowest place holds, and one token that needs no KV', () => {
    const options = { prefillPages: 9, decodePages: 7, hostPages: 8, pageTokens: 4 };
    expect(longestSequence(configOf('resharded', options))).toBe(29);
    expect(longestSequence(configOf('resharded', { ...options, hostPages: 5 }))).toBe(21);
    expect(longestSequence(configOf('fused', { ...options, hostPages: 0 }))).toBe(37);
    expect(longestSequence(configOf('fused', { ...options, context: 16 }))).toBe(16);
  });
});

describe('rejection', () => {
  const config = configOf('resharded', { prefillPages: 9, decodePages: 7, hostPages: 5, pageTokens: 4 });

  it('lets in what is as long as longestSequence', () => {
    expect(rejection(config, request(10, 11))).toBeUndefined();
    expect(rejection(config, request(10, 12))).toBe(
      '10 prompt tokens and 12 new ones need 6 KV pages, and the tier `host` has 5',
    );
  });

  it('asks no room for decode when one token is all', () => {
    expect(rejection(config, request(36, 1))).toBeUndefined();
    expect(rejection(config, request(37, 1))).toContain('the KV pool of stage `prefill` has 9');
  });

  it('names an empty prompt, no output and a context too short', () => {
    expect(rejection(config, request(0, 1))).toBe('the prompt is empty');
    expect(rejection(config, request(1, 0))).toBe('no token may be generated');
    expect(rejection({ ...config, context: 8 }, request(8, 2))).toContain('exceed the context of 8');
  });

  it('reaches the executor as an action, and the others go on', () => {
    const driver = createDriver(config);
    driver.arrive({ ...request(100, 5), outputTokens: 5 });
    driver.arrive({ id: 1, promptTokens: 6, maxNewTokens: 5, outputTokens: 5 });
    driver.drain();
    expect(driver.rejected.get(0)).toContain('100 prompt tokens');
    expect(driver.generated(1)).toBe(5);
    expect(driver.scheduler.state()).toMatchObject({ rejected: 1, finished: 1 });
  });
});
