/** A lock handed out in the order it was asked for: what makes a pipeline stage process its microbatches in turn. */
export interface Fifo {
  /** Runs `work` after everything queued before it, whatever became of that. */
  run<T>(work: () => Promise<T>): Promise<T>;
}

const ONE = [undefined];

export function createFifo(): Fifo {
  const fifos = createFifos<undefined>();
  return { run: (work) => fifos.run(ONE, work) };
}

/** Locks of several things, of which a work may need some at once. They are handed out in the order they were asked for. */
export interface Fifos<Key> {
  /** Runs `work` after everything queued before it for any of the keys, whatever became of that. */
  run<T>(keys: readonly Key[], work: () => Promise<T>): Promise<T>;
}

export function createFifos<Key>(): Fifos<Key> {
  const tails = new Map<Key, Promise<unknown>>();
  return {
    run(keys, work) {
      // None of them rejects.
      const turn = Promise.all(keys.map((key) => tails.get(key))).then(work);
      const tail = turn.catch(() => undefined);
      for (const key of keys) tails.set(key, tail);
      return turn;
    },
  };
}
