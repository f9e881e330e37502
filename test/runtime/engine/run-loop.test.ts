import { describe, expect, it } from 'vitest';
import { createRunLoop } from '../../../runtime/engine/run-loop.js';

interface Work {
  readonly name: string;
  readonly end: () => void;
  readonly fail: (error: unknown) => void;
}

/** A loop over requests of one action each, at most `most` under way; a test ends the actions by hand. */
function loopOver(names: readonly string[], most = 2) {
  const waiting = [...names];
  const underWay: Work[] = [];
  let pending = waiting.length;
  const loop = createRunLoop<string>({
    next: () => waiting.splice(0, most - underWay.length),
    carryOut: (name) =>
      new Promise<void>((end, fail) => underWay.push({ name, end, fail })).finally(() => {
        underWay.splice(
          underWay.findIndex((work) => work.name === name),
          1,
        );
        pending--;
      }),
    pending: () => pending,
  });
  const begun = (): readonly string[] => underWay.map(({ name }) => name);
  const end = async (name: string): Promise<void> => {
    underWay.find((work) => work.name === name)!.end();
    await settled();
  };
  const add = (name: string): void => {
    waiting.push(name);
    pending++;
    loop.wake();
  };
  return { loop, begun, end, add, work: (name: string) => underWay.find((work) => work.name === name)! };
}

/** Everything that promises alone set off has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A promise with what became of it so far. */
function watched(promise: Promise<void>): { readonly state: () => unknown } {
  let state: unknown = 'open';
  promise.then(
    () => (state = 'done'),
    (error: unknown) => (state = error),
  );
  return { state: () => state };
}

describe('the loop of an engine', () => {
  it('begins what may begin, and more as actions end in any order, until nothing is left', async () => {
    const { loop, begun, end } = loopOver(['a', 'b', 'c']);
    const run = watched(loop.run());
    expect(begun()).toEqual(['a', 'b']);
    await end('b');
    expect(begun()).toEqual(['a', 'c']);
    await end('a');
    expect(run.state()).toBe('open');
    await end('c');
    expect(run.state()).toBe('done');
  });

  it('begins what comes up while it waits, and runs again after it has ended', async () => {
    const { loop, begun, end, add } = loopOver(['a']);
    const run = watched(loop.run());
    add('b');
    await settled();
    expect(begun()).toEqual(['a', 'b']);
    await end('a');
    await end('b');
    expect(run.state()).toBe('done');
    add('c');
    expect(begun()).toEqual([]);
    const again = watched(loop.run());
    await end('c');
    expect(again.state()).toBe('done');
  });

  it('begins nothing after an abort and ends when what is under way has ended', async () => {
    const { loop, begun, end } = loopOver(['a', 'b', 'c']);
    const stop = new AbortController();
    const run = watched(loop.run(stop.signal));
    stop.abort();
    await end('a');
    expect(begun()).toEqual(['b']);
    expect(run.state()).toBe('open');
    await end('b');
    expect(run.state()).toBe('done');
  });

  it('rejects at once with the first failure, and so does every later run', async () => {
    const { loop, begun, work } = loopOver(['a', 'b', 'c']);
    const run = watched(loop.run());
    work('a').fail('odd');
    await settled();
    expect(run.state()).toEqual(new Error('odd'));
    expect(begun()).toEqual(['b']);
    work('b').fail(new Error('later'));
    await settled();
    expect(loop.failure()).toEqual(new Error('odd'));
    await expect(loop.run()).rejects.toThrow('odd');
    expect(begun()).toEqual([]);
  });

  it('rejects with a failure from outside, while it runs or before', async () => {
    const { loop } = loopOver(['a']);
    const run = watched(loop.run());
    loop.fail(new Error('lost'));
    await settled();
    expect(run.state()).toEqual(new Error('lost'));
    const early = loopOver(['a']);
    early.loop.fail(new Error('lost early'));
    await expect(early.loop.run()).rejects.toThrow('lost early');
    expect(early.begun()).toEqual([]);
  });

  it('does not wait for ever where requests are left and nothing begins', async () => {
    const loop = createRunLoop<string>({
      next: () => [],
      carryOut: () => Promise.resolve(),
      pending: () => 1,
    });
    await expect(loop.run()).rejects.toThrow('work left but no action');
  });
});
