/** What each kind of plan does with a few requests. */
import { describe, expect, it } from 'vitest';
import type { Action } from '../../../runtime/scheduler/types.js';
import { configOf } from './configs.js';
import { createDriver } from './driver.js';
import type { Driver } from './driver.js';
import { promptOf } from './families.js';
import type { Work } from './tracks.js';

function arriveAll(driver: Driver, prompts: readonly number[], outputTokens: number): void {
  prompts.forEach((promptTokens, id) =>
    driver.arrive({ id, promptTokens, maxNewTokens: outputTokens, outputTokens }),
  );
}

/** `prefill 0: 0@0+8, 1@0+4` */
function show(action: Action): string {
  switch (action.kind) {
    case 'step': {
      const items = action.items.map(({ sequence, start, count }) => `${sequence}@${start}+${count}`);
      return `${action.stage} ${action.replica}: ${items.join(', ')}`;
    }
    case 'switch':
    case 'prepare':
      return `${action.kind} ${action.from} -> ${action.to}`;
    default:
      return `${action.kind} ${action.sequence}`;
  }
}

const completeAll = (driver: Driver): void => {
  for (const action of driver.completable()) driver.complete(action);
};

describe('fused', () => {
  it('decodes first and fills the step with prompt chunks', () => {
    const driver = createDriver(configOf('fused', { maxTokens: 8 }));
    arriveAll(driver, [5, 10], 3);
    driver.drain();
    expect(driver.log.map(show)).toEqual([
      'serve 0: 0@0+5, 1@0+3',
      'serve 0: 0@5+1, 1@3+7',
      'serve 0: 0@6+1, 1@10+1',
      'serve 0: 1@11+1',
    ]);
  });

  it('sends the chunks of one prompt down the pipeline one behind the other', () => {
    const driver = createDriver(configOf('fused', { maxTokens: 4, depth: 3 }));
    arriveAll(driver, [11], 1);
    expect(driver.poll().map(show)).toEqual(['serve 0: 0@0+4', 'serve 0: 0@4+4', 'serve 0: 0@8+3']);
    driver.drain();
    expect(driver.generated(0)).toBe(1);
  });

  it('keeps to the decode batch', () => {
    const driver = createDriver(configOf('fused', { batchRequests: 2 }));
    arriveAll(driver, [2, 2, 2], 2);
    expect(driver.poll().map(show)).toEqual(['serve 0: 0@0+2, 1@0+2']);
  });
});

describe('static', () => {
  it('prefills while the batch has room, then decodes, without a switch', () => {
    const driver = createDriver(configOf('static', { maxTokens: 4, batchRequests: 2 }));
    arriveAll(driver, [4, 4, 4], 3);
    driver.drain();
    expect(driver.log.map(show)).toEqual([
      'prefill 0: 0@0+4',
      'prefill 0: 1@0+4',
      'decode 0: 0@4+1, 1@4+1',
      'decode 0: 0@5+1, 1@5+1',
      'prefill 0: 2@0+4',
      'decode 0: 2@4+1',
      'decode 0: 2@5+1',
    ]);
  });

  it('deals the running sequences into groups, one for each pipeline stage', () => {
    const driver = createDriver(configOf('static', { depth: 2 }));
    arriveAll(driver, [1, 1, 1, 1, 1], 3);
    driver.poll();
    completeAll(driver);
    expect(driver.poll().map(show)).toEqual(['decode 0: 0@1+1, 1@1+1, 2@1+1', 'decode 0: 3@1+1, 4@1+1']);
  });

  it.each(['static', 'static-within'] as const)('prefills before a deeper stage decodes: %s', (kind) => {
    const driver = createDriver(configOf(kind, { maxTokens: 4, batchRequests: 12, decodeDepth: 4 }));
    arriveAll(
      driver,
      Array.from({ length: 12 }, () => 4),
      4,
    );
    driver.drain();
    const steps = driver.log.filter((action) => action.kind === 'step');
    const lastPrompt = steps.findLastIndex(({ stage }) => stage === 'prefill');
    expect(steps.slice(0, lastPrompt).map(({ stage }) => stage)).not.toContain('decode');
    expect(driver.scheduler.state()).toMatchObject({ finished: 12 });
  });

  it('does not hold decode back for a prompt whose KV is still on its way', () => {
    const options = { decodeDepth: 2, prefillPages: 24, hostPages: 60 };
    const driver = createDriver(configOf('static-within', options));
    const request = (id: number, promptTokens: number, outputTokens: number, alike = 0): void =>
      driver.arrive({
        id,
        promptTokens,
        maxNewTokens: outputTokens,
        outputTokens,
        ...promptOf({ id, promptTokens, family: 'a', alike }, 4),
      });
    const finish = (id: number): void => {
      for (; !driver.hasEnded(id); driver.complete(driver.completable()[0]!)) driver.poll();
    };
    request(0, 2, 30);
    request(1, 2, 30);
    // Leaves its beginning in the host tier, and loses it on the devices to those after it.
    request(2, 9, 2, 8);
    finish(2);
    for (const id of [3, 4]) {
      request(id, 40, 1);
      finish(id);
    }
    request(5, 10, 2, 8);
    driver.poll();
    const isLoad = (action: Work): boolean => action.kind === 'page_in';
    expect(driver.completable().filter(isLoad)).toMatchObject([{ sequence: 5, positions: [0, 1] }]);
    // One of two steps is done at a time: the next is always there already.
    for (let steps = 0; steps < 4; steps++) {
      driver.complete(driver.completable().find((action) => !isLoad(action))!);
      expect(driver.completable().filter((action) => !isLoad(action))).toHaveLength(1);
      expect(driver.poll()).toHaveLength(1);
    }
  });

  it('spreads requests over replicas', () => {
    const driver = createDriver(configOf('static', { prefillDp: 2 }));
    arriveAll(driver, [3, 3, 3, 3], 2);
    expect(driver.poll().map(show)).toEqual(['prefill 0: 0@0+3, 2@0+3', 'prefill 1: 1@0+3, 3@0+3']);
  });
});

describe('re-sharded', () => {
  it.each([
    [
      'dataflow',
      [
        ['prefill 0: 0@0+4'],
        ['page_out 0', 'prefill 0: 1@0+4', 'switch prefill -> decode'],
        ['page_out 1', 'page_in 0'],
        ['page_in 1'],
        ['decode 0: 0@4+1, 1@4+1'],
      ],
    ],
    [
      'barrier',
      [
        ['prefill 0: 0@0+4'],
        ['page_out 0', 'prefill 0: 1@0+4'],
        ['page_out 1', 'page_in 0', 'switch prefill -> decode'],
        ['page_in 1'],
        ['decode 0: 0@4+1, 1@4+1'],
      ],
    ],
  ] as const)(
    'hands over through the host tier beside prefill, switch and decode: %s',
    (transitions, expected) => {
      const driver = createDriver(configOf('resharded', { maxTokens: 4, transitions }));
      arriveAll(driver, [4, 4], 2);
      const rounds: string[][] = [];
      for (let round = driver.poll(); round.length > 0; round = driver.poll()) {
        rounds.push(round.map(show));
        completeAll(driver);
      }
      expect(rounds).toEqual(expected);
    },
  );

  it('ends a one-token request without moving its KV', () => {
    const driver = createDriver(configOf('resharded', { hostPages: 0 }));
    arriveAll(driver, [4, 4], 1);
    driver.drain();
    expect(driver.log.map(show)).toEqual(['prefill 0: 0@0+4, 1@0+4']);
  });

  it('lets the two stages have different replicas', () => {
    const driver = createDriver(configOf('resharded', { prefillDp: 1, decodeDp: 2 }));
    arriveAll(driver, [4, 4, 4, 4], 3);
    driver.drain();
    const replicas = driver.log.flatMap((action) => (action.kind === 'page_in' ? [action.replica] : []));
    expect(replicas).toEqual([0, 1, 0, 1]);
    expect(driver.scheduler.state().finished).toBe(4);
  });

  it('goes back to prefill while sequences stay in the decode pool', () => {
    const driver = createDriver(configOf('resharded', { hostPages: 2, decodePages: 4, batchRequests: 2 }));
    arriveAll(driver, [4, 4, 4, 4, 4, 4], 5);
    driver.drain();
    const switches = driver.log.filter((action) => action.kind === 'switch').map(show);
    expect(switches.length).toBeGreaterThan(1);
    switches.forEach((each, i) =>
      expect(each).toBe(i % 2 === 0 ? 'switch prefill -> decode' : 'switch decode -> prefill'),
    );
  });
});

describe('pages that prefill and decode share', () => {
  it('are prefill’s while prompts wait for it', () => {
    // Room for many prompts in the host tier, for few on the device.
    const options = { prefillPages: 8, hostPages: 64, maxTokens: 4, batchRequests: 8, pageTokens: 4 };
    const driver = createDriver(configOf('resharded-within', options));
    arriveAll(
      driver,
      Array.from({ length: 12 }, () => 8),
      6,
    );
    driver.drain();
    expect(driver.scheduler.state()).toMatchObject({ finished: 12 });
    const first = driver.log.findIndex(({ kind }) => kind === 'page_in');
    const prefilled = driver.log
      .slice(0, first)
      .flatMap((action) => (action.kind === 'step' && action.stage === 'prefill' ? action.items : []));
    // Nothing comes in to decode before the last prompt has been let in.
    expect(new Set(prefilled.map(({ sequence }) => sequence)).size).toBeGreaterThanOrEqual(10);
  });
});

describe('disaggregated', () => {
  it('runs both stages at once', () => {
    const driver = createDriver(configOf('disaggregated', { maxTokens: 4 }));
    arriveAll(driver, [4, 4, 4, 4], 4);
    let together = 0;
    for (let round = driver.poll(); driver.completable().length > 0; round = driver.poll()) {
      const stages = round.flatMap((action) => (action.kind === 'step' ? [action.stage] : []));
      if (stages.includes('prefill') && stages.includes('decode')) together++;
      completeAll(driver);
    }
    expect(together).toBeGreaterThan(0);
    expect(driver.scheduler.state()).toMatchObject({ finished: 4, switches: 0 });
  });
});

describe('events', () => {
  it('that answer nothing in flight are refused', () => {
    const driver = createDriver(configOf('fused'));
    arriveAll(driver, [4], 2);
    const [step] = driver.poll();
    if (step?.kind !== 'step') throw new Error('no step');
    expect(() => driver.scheduler.apply({ kind: 'page_in_done', id: step.id })).toThrow('no page_in 0');
    expect(() => driver.scheduler.apply({ kind: 'step_done', id: step.id, sampled: [] })).toThrow(
      'sampled no token of sequence 0',
    );
    expect(() => driver.arrive({ id: 0, promptTokens: 1, maxNewTokens: 1, outputTokens: 1 })).toThrow(
      'arrived already',
    );
  });

  it('that cancel what has ended are ignored', () => {
    const driver = createDriver(configOf('fused'));
    arriveAll(driver, [4], 1);
    driver.drain();
    driver.scheduler.apply({ kind: 'cancel', sequence: 0 });
    expect(driver.scheduler.state()).toMatchObject({ finished: 1, cancelled: 0 });
  });
});
