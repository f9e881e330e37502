/** Lets a few of many asynchronous works run at once, in the order they came. */
export interface Gate {
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Lets so many run at once from now on. Where that is fewer, those that run go on. */
  widen(width: number): void;
}

export function createGate(initialWidth: number): Gate {
  let width = initialWidth;
  let running = 0;
  const waiting: (() => void)[] = [];
  // A place is taken for whoever waited first, so that nobody slips in between.
  const admit = (): void => {
    while (running < width && waiting.length > 0) {
      running++;
      waiting.shift()!();
    }
  };
  return {
    async run(work) {
      if (running < width) running++;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await work();
      } finally {
        running--;
        admit();
      }
    },
    widen(next) {
      width = next;
      admit();
    },
  };
}
