/** A host page that several sequences hold is filled once, whoever else puts out the same meanwhile. */
import { expect, it } from 'vitest';
import type { Action } from '../../../runtime/scheduler/types.js';
import { configOf } from './configs.js';
import { createDriver } from './driver.js';

/** Pages of four tokens; of alike requests the first is the same. */
function request(id: number, promptTokens: number, maxNewTokens: number, alike = false) {
  return {
    id,
    promptTokens,
    maxNewTokens,
    outputTokens: 99,
    pageKeys: Array.from({ length: promptTokens >> 2 }, (_, page) =>
      alike && page === 0 ? 'common' : `${id}/${page}`,
    ),
    promptIds: Array.from({ length: promptTokens }, (_, at) => (alike && at < 4 ? at : 1000 * (id + 1) + at)),
  };
}

it('also where what was published under its key is gone again', () => {
  const driver = createDriver(
    configOf('disaggregated', {
      hostPages: 9,
      diskPages: 40,
      decodePages: 7,
      prefillPages: 40,
      maxTokens: 4,
      depth: 1,
      batchRequests: 2,
    }),
  );
  const arrive = (...requests: readonly ReturnType<typeof request>[]): void => {
    for (const each of requests) driver.arrive(each);
    driver.poll();
  };
  const completeOne = (is: (action: Action) => boolean): boolean => {
    const action = driver.completable().find(is);
    if (action === undefined) return false;
    driver.complete(action);
    driver.poll();
    return true;
  };
  const stepOf = (stage: string) => (action: Action) => action.kind === 'step' && action.stage === stage;
  const outOf = (sequence: number) => (action: Action) =>
    action.kind === 'page_out' && action.sequence === sequence;
  const isOut = (sequence: number): boolean => driver.completable().some(outOf(sequence));
  const goOn = (): boolean => completeOne(({ kind }) => kind !== 'step') || completeOne(stepOf('prefill'));
  const { state } = driver.scheduler;
  const [preempted, first, second] = [1, 2, 3];

  // One that decodes has the common page on its devices alone: in the host tier others have taken its place.
  arrive(request(0, 4, 20), request(preempted, 5, 20, true));
  while (state().running < 2) expect(goOn()).toBe(true);
  arrive(request(9, 4, 5));
  while (state().onHost < 1) expect(goOn()).toBe(true);
  arrive(request(10, 16, 3), request(11, 16, 3));
  for (const id of [10, 11]) driver.cancel(id);
  driver.poll();
  completeOne(stepOf('prefill'));

  // Two share the page to come. While the first puts it out the one that decodes does so too, elsewhere, and is there sooner.
  arrive(request(first, 8, 4, true), request(second, 8, 4, true));
  while (!isOut(first)) expect(completeOne(stepOf('prefill'))).toBe(true);
  while (!isOut(preempted)) expect(completeOne(stepOf('decode'))).toBe(true);
  const puts = driver.completable().filter((action) => action.kind === 'page_out');
  const shared = puts.find(({ sequence }) => sequence === first)!.hostPages[0]!;
  completeOne(outOf(preempted));
  completeOne(outOf(first));
  driver.cancel(preempted);
  driver.poll();
  arrive(request(20, 12, 3), request(21, 12, 3));
  while (!isOut(second)) expect(completeOne(stepOf('prefill'))).toBe(true);
  const [last] = driver.completable().filter(outOf(second));
  expect(last).toMatchObject({ kind: 'page_out', positions: [1] });
  expect((last as (typeof puts)[number]).hostPages).not.toContain(shared);
  driver.drain();
});
