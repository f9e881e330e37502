/** What the page of the playground hears of its workers, with workers that do as they are told. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Question, Reply } from '../../cli/playground/page/messages.js';

/** The page is typed for browsers, apart from what runs here. */
const PAGE: string = '../../cli/playground/page/ask.ts';
const { createAsker } = (await import(PAGE)) as {
  createAsker: (
    kind: 'compile',
    whenDropped: 'finishes',
    answered: (reply: Reply<'compile'>) => void,
  ) => { readonly ask: (text: string) => void; readonly drop: () => void };
};

interface FakeWorker extends EventTarget {
  readonly asked: Question[];
}

const started: FakeWorker[] = [];
const heard: Reply<'compile'>[] = [];

/** A worker that keeps what it is asked. */
function fakeWorker(): FakeWorker {
  const asked: Question[] = [];
  const worker = Object.assign(new EventTarget(), {
    asked,
    postMessage: (question: Question) => asked.push(question),
    terminate: () => undefined,
  });
  started.push(worker);
  return worker;
}

const breakOff = (worker: FakeWorker, message = ''): boolean =>
  worker.dispatchEvent(Object.assign(new Event('error'), { message }));

beforeEach(() => {
  started.length = 0;
  heard.length = 0;
  vi.stubGlobal('Worker', function () {
    return fakeWorker();
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe('a worker that fails', () => {
  const asker = (): ReturnType<typeof createAsker> =>
    createAsker('compile', 'finishes', (reply) => heard.push(reply));

  it('is told of in place of the answer, and the next question has another', () => {
    const { ask } = asker();
    ask('a');
    breakOff(started[0]!);
    expect(heard).toMatchObject([
      { id: 1, failed: expect.stringContaining('could not be loaded') as string },
    ]);
    ask('b');
    expect(started).toHaveLength(2);
    expect(started[1]!.asked).toMatchObject([{ id: 2, text: 'b' }]);
    breakOff(started[1]!, 'out of memory');
    expect(heard[1]).toMatchObject({ id: 2, failed: 'out of memory' });
  });

  it('is not told of where a newer question waits or none does', () => {
    const { ask, drop } = asker();
    ask('a');
    ask('b');
    breakOff(started[0]!);
    expect(heard).toEqual([]);
    expect(started[1]!.asked).toMatchObject([{ text: 'b' }]);
    drop();
    breakOff(started[1]!);
    expect(heard).toEqual([]);
  });
});
