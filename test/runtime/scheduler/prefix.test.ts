/** Prompts that begin alike: computed, moved and kept once. */
import { describe, expect, it } from 'vitest';
import type { Action } from '../../../runtime/scheduler/types.js';
import { configOf } from './configs.js';
import { createDriver } from './driver.js';
import { promptOf } from './families.js';
import type { Driver } from './driver.js';
import type { FakeRequest } from './tracks.js';

const PAGE = 4;

/** A request whose first `alike` tokens are those of its family; the rest of its prompt is its own. */
function requestOf(
  id: number,
  promptTokens: number,
  alike: number,
  { family = 'a', outputTokens = 3 } = {},
): FakeRequest {
  const prompt = promptOf({ id, promptTokens, family, alike }, PAGE);
  return { id, promptTokens, maxNewTokens: outputTokens, outputTokens, ...prompt };
}

function run(driver: Driver, requests: readonly FakeRequest[]): void {
  const before = driver.scheduler.state().finished;
  for (const request of requests) driver.arrive(request);
  driver.drain();
  expect(driver.scheduler.state().finished).toBe(before + requests.length);
}

type Kind = Exclude<Action['kind'], 'step' | 'switch' | 'reject'>;

/** `0@0+8 1@8+1`: the rows of prompts, one text per step. */
const prefills = (driver: Driver): string[] =>
  driver.log.flatMap((action) =>
    action.kind === 'step' && action.items.some(({ start, count }) => start === 0 || count > 1)
      ? [action.items.map(({ sequence, start, count }) => `${sequence}@${start}+${count}`).join(' ')]
      : [],
  );

/** The rows of all steps, and of them those that go on in a copy, with the page copied. */
const rows = (driver: Driver): string[] =>
  driver.log.flatMap((action) =>
    action.kind === 'step'
      ? [action.items.map(({ sequence, start, count }) => `${sequence}@${start}+${count}`).join(' ')]
      : [],
  );
const copies = (driver: Driver): readonly (readonly [number, number])[] =>
  driver.log.flatMap((action) =>
    action.kind === 'step'
      ? action.items.flatMap(({ sequence, copyOf }) =>
          copyOf === undefined ? [] : ([[sequence, copyOf]] as const),
        )
      : [],
  );

/** Positions of the pages that moved, by sequence. */
const moved = (driver: Driver, kind: Kind): [number, readonly number[]][] =>
  driver.log.flatMap((action) =>
    action.kind === kind ? [[action.sequence, action.positions] as [number, readonly number[]]] : [],
  );

describe('a common beginning', () => {
  it('is computed by the first, and the others go on behind it in the same step', () => {
    const driver = createDriver(configOf('fused'));
    run(driver, [requestOf(0, 10, 8), requestOf(1, 11, 8), requestOf(2, 9, 4)]);
    expect(prefills(driver)[0]).toBe('0@0+10 1@8+3 2@4+5');
    expect(driver.scheduler.state().reused).toEqual({ device: 12, host: 0, disk: 0 });
  });

  it('ends at a page border where the tokens are not known, and before the last token of a prompt', () => {
    const driver = createDriver(configOf('fused', { maxTokens: 64 }));
    const requests = [requestOf(0, 12, 7), requestOf(1, 12, 7), requestOf(2, 8, 8), requestOf(3, 8, 8)];
    run(
      driver,
      requests.map(({ promptIds: _, ...request }) => request),
    );
    expect(prefills(driver)[0]).toBe('0@0+12 1@4+8 2@4+4 3@4+4');
    expect(driver.scheduler.state().copied).toBe(0);
  });

  it('is computed once by a prompt in chunks, with the others behind it', () => {
    const driver = createDriver(configOf('fused', { maxTokens: 8 }));
    run(driver, [requestOf(0, 18, 16), requestOf(1, 18, 16)]);
    expect(prefills(driver).slice(0, 3)).toEqual(['0@0+8', '0@8+8', '0@16+2 1@16+2']);
  });

  it('is found after the first has ended, until its pages are taken', () => {
    const driver = createDriver(configOf('fused', { prefillPages: 4 }));
    run(driver, [requestOf(0, 9, 8, { outputTokens: 1 })]);
    run(driver, [requestOf(1, 10, 8, { outputTokens: 1 })]);
    run(driver, [requestOf(2, 15, 0, { outputTokens: 1 })]);
    run(driver, [requestOf(3, 9, 8, { outputTokens: 1 })]);
    expect(prefills(driver)).toEqual(['0@0+9', '1@8+2', '2@0+15', '3@0+9']);
  });

  it('is shared by the answers of one request, which then fit the pages together', () => {
    const driver = createDriver(configOf('fused', { prefillPages: 9, maxTokens: 64 }));
    run(
      driver,
      [0, 1, 2, 3].map((id) => requestOf(id, 18, 18, { outputTokens: 2 })),
    );
    expect(rows(driver)).toEqual(['0@0+18', '0@18+1 1@17+1 2@17+1 3@17+1', '1@18+1 2@18+1 3@18+1']);
    expect(driver.scheduler.state().preemptions).toEqual({ swapped: 0, dropped: 0 });
  });

  it('is not waited for by a replica that has other pages, and computed once there', () => {
    const driver = createDriver(configOf('fused', { prefillDp: 2 }));
    run(
      driver,
      [0, 1, 2, 3].map((id) => requestOf(id, 10, 8)),
    );
    const firsts = prefills(driver).slice(0, 2);
    expect(firsts).toEqual(['0@0+10 2@8+2', '1@0+10 3@8+2']);
  });

  it('survives the cancellation of the first', () => {
    const driver = createDriver(configOf('fused', { maxTokens: 10, depth: 2 }));
    for (const request of [requestOf(0, 10, 8), requestOf(1, 10, 8)]) driver.arrive(request);
    driver.poll();
    driver.cancel(0);
    driver.drain();
    expect(prefills(driver)).toEqual(['0@0+10', '1@8+2']);
  });

  it('is not computed again by one that was preempted, while its pages are there', () => {
    const driver = createDriver(configOf('fused', { prefillPages: 7, hostPages: 0 }));
    run(
      driver,
      [0, 1, 2].map((id) => requestOf(id, 9, 8, { outputTokens: 12 })),
    );
    expect(driver.scheduler.state().preemptions.dropped).toBeGreaterThan(0);
    expect(prefills(driver).join(' ').match(/@0\+/g)).toHaveLength(1);
  });
});

describe('a beginning that ends within a page', () => {
  it('is copied once the page is filled, and gone on with behind the tokens in common', () => {
    const driver = createDriver(configOf('fused', { maxTokens: 64 }));
    run(driver, [requestOf(0, 12, 7), requestOf(1, 12, 7), requestOf(2, 9, 6)]);
    expect(prefills(driver)).toEqual(['0@0+12', '0@12+1 1@7+5 2@6+3']);
    expect(copies(driver)).toEqual([
      [1, 1],
      [2, 1],
    ]);
    expect(driver.scheduler.state()).toMatchObject({ copied: 2, reused: { device: 13, host: 0, disk: 0 } });
  });

  it('leaves one token of the same prompt to be computed, wherever it ends', () => {
    for (const length of [5, 6, 7, 8]) {
      const driver = createDriver(configOf('fused', { maxTokens: 64 }));
      run(
        driver,
        [0, 1, 2].map((id) => requestOf(id, length, length)),
      );
      const last = length - 1;
      const [first, second] = rows(driver);
      // What is in whole pages needs no copy, and no step between.
      expect(first).toBe(last === 4 ? `0@0+5 1@4+1 2@4+1` : `0@0+${length}`);
      if (last > 4) expect(second).toBe(`0@${length}+1 1@${last}+1 2@${last}+1`);
    }
  });

  it('is found in the page of one that is decoding in it, or has ended', () => {
    const driver = createDriver(configOf('fused'));
    run(driver, [requestOf(0, 6, 6, { outputTokens: 5 })]);
    run(driver, [requestOf(1, 8, 6, { outputTokens: 1 })]);
    expect(prefills(driver)).toEqual(['0@0+6', '1@6+2']);
    // Tokens generated behind the prompt are not taken for those of another.
    run(driver, [requestOf(2, 12, 6, { outputTokens: 1 }), requestOf(3, 12, 12, { outputTokens: 1 })]);
    expect(prefills(driver).at(-1)).toBe('2@6+6 3@6+6');
  });

  it('is copied from the page with most of it', () => {
    const driver = createDriver(configOf('fused', { prefillPages: 12 }));
    run(driver, [requestOf(0, 8, 5), requestOf(1, 8, 7)]);
    run(driver, [requestOf(2, 9, 7)]);
    expect(prefills(driver).at(-1)).toBe('2@7+2');
  });

  it('is computed again where it is less than a quarter of a page', () => {
    const pageTokens = 16;
    const driver = createDriver(configOf('fused', { pageTokens, maxTokens: 64 }));
    const request = (id: number, alike: number): FakeRequest => {
      const promptTokens = 12;
      const prompt = promptOf({ id, promptTokens, family: 'a', alike }, pageTokens);
      return { id, promptTokens, maxNewTokens: 1, outputTokens: 1, ...prompt };
    };
    run(driver, [request(0, 12)]);
    run(driver, [request(1, 3), request(2, 4)]);
    expect(prefills(driver).at(-1)).toBe('1@0+12 2@4+8');
  });

  it('stays where it is until the step that copies it is done', () => {
    const driver = createDriver(configOf('fused', { prefillPages: 3, maxTokens: 64, depth: 2 }));
    run(driver, [requestOf(0, 3, 3, { outputTokens: 1 })]);
    driver.arrive(requestOf(1, 4, 3, { outputTokens: 1 }));
    expect(driver.poll()).toMatchObject([{ items: [{ sequence: 1, start: 3, count: 1, copyOf: 0 }] }]);
    // Its own page and the one it is copied from.
    expect(driver.scheduler.state().pools[0]!.free).toBe(1);
    driver.cancel(1);
    driver.drain();
    expect(driver.scheduler.state().pools[0]!.free).toBe(3);
  });

  it('is not waited for where another replica is about to have it', () => {
    const driver = createDriver(configOf('fused', { prefillDp: 2 }));
    run(
      driver,
      [0, 1].map((id) => requestOf(id, 7, 7)),
    );
    expect(prefills(driver)).toEqual(['0@0+7', '1@0+7']);
  });
});

describe('a common beginning that is handed over', () => {
  const requests = [0, 1, 2].map((id) => requestOf(id, 10, 8));

  it.each(['resharded', 'disaggregated', 'resharded-within'] as const)('moves once (%s)', (kind) => {
    const driver = createDriver(configOf(kind));
    run(driver, requests);
    for (const direction of ['page_out', 'page_in'] as const) {
      expect(moved(driver, direction)).toEqual([
        [0, [0, 1, 2]],
        [1, [2]],
        [2, [2]],
      ]);
    }
  });

  it('takes its place in the host tier once, so that more prompts fit', () => {
    const options = { hostPages: 5, batchRequests: 1 };
    const shared = createDriver(configOf('resharded', options));
    run(shared, requests);
    expect(shared.scheduler.state().switches).toBe(1);
    const single = createDriver(configOf('resharded', options));
    run(
      single,
      [0, 1, 2].map((id) => requestOf(id, 10, 0)),
    );
    expect(single.scheduler.state().switches).toBeGreaterThan(1);
  });

  it('has its place in the host tier claimed once, before it is there, and filled by the first that leaves', () => {
    for (const cancelled of [undefined, 0, 1]) {
      const driver = createDriver(configOf('disaggregated', { hostPages: 5, batchRequests: 1 }));
      for (const each of requests) driver.arrive(each);
      driver.poll();
      expect(driver.scheduler.state()).toMatchObject({
        prefilling: 3,
        waiting: 0,
        host: { free: 0, filled: 0, most: 0 },
      });
      if (cancelled !== undefined) driver.cancel(cancelled);
      driver.drain();
      const live = requests.filter(({ id }) => id !== cancelled);
      expect(driver.scheduler.state()).toMatchObject({
        finished: live.length,
        host: { free: 5, filled: 0, most: 2 + live.length },
      });
      expect(moved(driver, 'page_out')).toEqual(
        live.map(({ id }, i) => [id, i === 0 ? [0, 1, 2] : [2]] as const),
      );
    }
  });

  it('goes to disk and back once', () => {
    const driver = createDriver(configOf('resharded', { hostPages: 8, diskPages: 40, batchRequests: 1 }));
    run(
      driver,
      [...Array(8).keys()].map((id) => requestOf(id, 14, 12, { outputTokens: 4 })),
    );
    const spilled = moved(driver, 'spill').flatMap(([, positions]) => positions);
    expect(spilled.length).toBeGreaterThan(3);
    for (const position of [0, 1, 2]) expect(spilled.filter((each) => each === position)).toHaveLength(1);
  });

  it('is loaded from the host tier when the devices have it no longer', () => {
    const driver = createDriver(configOf('disaggregated', { prefillPages: 3, hostPages: 40 }));
    run(driver, [requestOf(0, 9, 8), requestOf(1, 10, 0), requestOf(2, 10, 8)]);
    expect(moved(driver, 'page_in')).toContainEqual([2, [0, 1]]);
    expect(prefills(driver)).toEqual(['0@0+9', '1@0+10', '2@8+2']);
    expect(driver.scheduler.state().reused).toEqual({ device: 0, host: 8, disk: 0 });
  });

  it('is computed again where that is quicker than a load', () => {
    const costs = { prefillToken: 1, hostPage: PAGE + 1, diskPage: 0 };
    const driver = createDriver(configOf('disaggregated', { prefillPages: 3, hostPages: 40, costs }));
    run(driver, [requestOf(0, 9, 8), requestOf(1, 10, 0), requestOf(2, 10, 8)]);
    expect(prefills(driver)).toEqual(['0@0+9', '1@0+10', '2@0+10']);
    expect(driver.scheduler.state()).toMatchObject({
      reused: { device: 0, host: 0, disk: 0 },
      passedOver: { host: 1 },
    });
  });
});

describe('a common beginning that is on disk alone', () => {
  const tight = { prefillPages: 5, hostPages: 8, diskPages: 40, batchRequests: 1 };

  /** Leaves the pages of family `a` on disk, and lets others take their places before it. */
  function leaveOnDisk(driver: Driver): void {
    run(
      driver,
      [...Array(8).keys()].map((id) => requestOf(id, 14, 12, { outputTokens: 4 })),
    );
    for (const id of [8, 9, 10]) run(driver, [requestOf(id, 14, 0)]);
  }

  it('is fetched and not computed again', () => {
    const driver = createDriver(configOf('resharded', tight));
    leaveOnDisk(driver);
    const { reused, switches } = driver.scheduler.state();
    run(driver, [requestOf(11, 14, 12)]);
    expect(moved(driver, 'fetch')).toContainEqual([11, [0, 1, 2]]);
    expect(moved(driver, 'page_in')).toContainEqual([11, [0, 1, 2]]);
    expect(prefills(driver).at(-1)).toBe('11@12+2');
    expect(driver.scheduler.state().reused).toEqual({ ...reused, disk: reused.disk + 12 });
    // To prefill, which waits for it, and back.
    expect(driver.scheduler.state().switches).toBe(switches + 2);
  });

  it('is fetched once for several', () => {
    const driver = createDriver(configOf('resharded', tight));
    leaveOnDisk(driver);
    run(
      driver,
      [11, 12].map((id) => requestOf(id, 14, 12)),
    );
    const fetched = moved(driver, 'fetch').filter(([id]) => id > 10);
    expect(fetched).toEqual([[11, [0, 1, 2]]]);
    expect(prefills(driver).at(-1)).toBe('11@12+2 12@12+2');
  });

  it('is not taken for all of one whose KV was dropped after it had decoded', () => {
    const options = { prefillPages: 9, hostPages: 6, diskPages: 9, batchRequests: 2, maxTokens: 1 };
    const driver = createDriver(configOf('resharded-within', options));
    const lengths = [5, 12, 9, 12, 9, 1, 1, 1, 5, 1, 5, 9, 5, 1];
    const outputs = [2, 2, 5, 6, 2, 2, 1, 1, 2, 1, 2, 1, 1, 1];
    lengths.forEach((length, id) => {
      const request = requestOf(id, length, 0, { outputTokens: outputs[id]! });
      driver.arrive(id === 1 ? { ...request, maxNewTokens: 6 } : request);
    });
    driver.drain((count) => 159 % count);
    expect(driver.scheduler.state().preemptions.dropped).toBeGreaterThan(0);
    // Its prompt is three full pages, and what it had generated lay behind them.
    expect(moved(driver, 'fetch').filter(([id]) => id === 3)).toHaveLength(2);
    expect(driver.generated(3)).toBe(6);
  });

  it('is computed again where it cannot be read', () => {
    let fails = false;
    const driver = createDriver(configOf('resharded', tight), () => fails);
    leaveOnDisk(driver);
    fails = true;
    run(driver, [requestOf(11, 14, 12)]);
    expect(prefills(driver).at(-1)).toBe('11@0+14');
    expect(driver.scheduler.state().fetches.failed).toBe(1);
    run(driver, [requestOf(12, 14, 0)]);
    run(driver, [requestOf(13, 14, 12)]);
    // What could not be read is not looked for again.
    expect(driver.scheduler.state().fetches.failed).toBe(1);
  });

  it('is computed again where that is quicker than a load', () => {
    const driver = createDriver(configOf('resharded', tight));
    leaveOnDisk(driver);
    driver.scheduler.apply({ kind: 'measured', costs: { diskPage: 100 } });
    run(driver, [requestOf(11, 14, 12)]);
    expect(prefills(driver).at(-1)).toBe('11@0+14');
    expect(driver.scheduler.state().passedOver.disk).toBeGreaterThan(0);
  });
});
