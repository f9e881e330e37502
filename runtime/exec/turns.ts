/**
 * Turns on the event loop for work that the host does for several devices, such as filling staging memory. One turn is
 * given out per round of the loop, so that steps under way get theirs between two, and the most urgent work goes first
 * whatever its device: the host is one thread, and what it does now it cannot do for what is needed sooner.
 */
export interface Turns {
  /** Resolves when it is the caller's turn. The lower, the more urgent; equals go in order. */
  take(urgency: number): Promise<void>;
}

export function createTurns(): Turns {
  const waiting: { readonly urgency: number; readonly go: () => void }[] = [];
  const next = (): void => {
    waiting.shift()?.go();
    if (waiting.length > 0) setImmediate(next);
  };
  return {
    take: (urgency) =>
      new Promise((go) => {
        if (waiting.length === 0) setImmediate(next);
        const after = waiting.findIndex((other) => other.urgency > urgency);
        waiting.splice(after < 0 ? waiting.length : after, 0, { urgency, go });
      }),
  };
}
