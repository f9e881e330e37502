/**
 * The loop of an executor: actions begin as soon as they may, overlap, and as each one ends it asks for more, until no
 * request is left. It knows neither devices nor a scheduler.
 */

/** What the loop is to drive; `A` is an action. */
export interface LoopWork<A> {
  /** The actions that may begin now; each is given once. */
  readonly next: () => readonly A[];
  /** Carries an action out. Once the promise resolves, `next` knows that it has ended. */
  readonly carryOut: (action: A) => Promise<void>;
  /** Requests not ended yet. */
  readonly pending: () => number;
}

/** Lives as long as its engine: runs may follow one another until one fails. */
export interface RunLoop {
  /** There may be something to begin that no action's end tells of, such as a new request. */
  wake(): void;
  /** Ends the run that is under way, or else the next, with an error: the first one given. Nothing begins after it. */
  fail(error: Error): void;
  /** The error that has ended, or will end, a run. */
  readonly failure: () => Error | undefined;
  /**
   * Resolves when no request is pending, or after an abort when the actions under way have ended. Rejects as soon as
   * anything has failed: what is still under way then is left to itself.
   */
  run(signal?: AbortSignal): Promise<void>;
}

export function createRunLoop<A>({ next, carryOut, pending }: LoopWork<A>): RunLoop {
  let underWay = 0;
  let failure: Error | undefined;
  let wake: () => void = () => undefined;

  function fail(error: Error): void {
    failure ??= error;
    wake();
  }

  function begin(action: A): void {
    underWay++;
    carryOut(action)
      .catch((error: unknown) => fail(error instanceof Error ? error : new Error(String(error))))
      .finally(() => {
        underWay--;
        wake();
      });
  }

  return {
    wake: () => wake(),
    fail,
    failure: () => failure,
    async run(signal) {
      const aborted = (): boolean => signal?.aborted ?? false;
      const onAbort = (): void => wake();
      signal?.addEventListener('abort', onAbort);
      try {
        while (failure === undefined && !(aborted() && underWay === 0) && pending() > 0) {
          const woken = new Promise<void>((resolve) => {
            wake = resolve;
          });
          if (!aborted()) for (const action of next()) begin(action);
          if (underWay === 0 && pending() > 0 && !aborted()) {
            throw new Error('the scheduler has work left but no action to take');
          }
          if (pending() > 0) await woken;
        }
      } finally {
        wake = () => undefined;
        signal?.removeEventListener('abort', onAbort);
      }
      if (failure !== undefined) throw failure;
    },
  };
}
