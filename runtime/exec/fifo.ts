/** A lock handed out in the order it was asked for: what makes a pipeline stage process its microbatches in turn. */
export interface Fifo {
  /** Runs `work` after everything queued before it, whatever became of that. */
  run<T>(work: () => Promise<T>): Promise<T>;
}

export function createFifo(): Fifo {
  let tail: Promise<unknown> = Promise.resolve();
  return {
    run<T>(work: () => Promise<T>): Promise<T> {
      const turn = tail.then(work, work);
      tail = turn.catch(() => undefined);
      return turn;
    },
  };
}
