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
  /** Ends the bar where it stands. */
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
  return {
    say: (what) => err(terminal, `  ${what}`),
    start: () => {
      begun = shown = performance.now();
    },
    update: (done, total, note) => {
      const now = performance.now();
      if ((now - shown) / 1000 < PLAIN_INTERVAL && done < total) return;
      shown = now;
      err(
        terminal,
        `  ${done}/${total} ${noun} after ${formatSeconds((now - begun) / 1000)}  ${note}`.trimEnd(),
      );
    },
    stop: () => undefined,
  };
}
