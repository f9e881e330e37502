/**
 * Progress of a long command: a bar that is redrawn on a person's terminal, and now and then a plain line elsewhere,
 * so that a log stays readable.
 */
import { formatSeconds } from './format.js';
import { err, type Terminal } from './terminal.js';

export interface Progress {
  /** What is being done before anything can be counted. */
  readonly say: (what: string) => void;
  readonly start: (total: number) => void;
  /** `note` stands behind the bar: the phase, a rate. The total may grow. */
  readonly update: (done: number, total: number, note: string) => void;
  /** Shows what has not been shown, and ends. */
  readonly stop: () => void;
}

/** Seconds between plain lines. */
const PLAIN_INTERVAL = 5;

/** Progress on the terminal, counted in `noun`s (`requests`). */
export async function createProgress(terminal: Terminal, noun: string): Promise<Progress> {
  if (!terminal.interactive) return plainProgress(terminal, noun);
  return (await import('./progress-bar.js')).barProgress(terminal, noun);
}

function plainProgress(terminal: Terminal, noun: string): Progress {
  let begun = 0;
  let shown = 0;
  /** The state that no line has shown yet. */
  let unshown: string | undefined;
  const show = (line: string): void => {
    unshown = undefined;
    err(terminal, line);
  };
  return {
    say: (what) => err(terminal, `  ${what}`),
    start: () => {
      begun = shown = performance.now();
    },
    update: (done, total, note) => {
      const now = performance.now();
      const after = formatSeconds((now - begun) / 1000);
      unshown = `  ${done}/${total} ${noun} after ${after}  ${note}`.trimEnd();
      // All that is known so far may be done many times over: what a pipe brings makes the total grow.
      if ((now - shown) / 1000 < PLAIN_INTERVAL) return;
      shown = now;
      show(unshown);
    },
    stop: () => {
      if (unshown !== undefined) show(unshown);
    },
  };
}
