/** Workers that answer about texts, each with one kind of question, so that none waits for another kind. */
import type { Answers, Question, Reply } from './messages.js';

export interface Asker {
  /** Asks about a text. Of the texts that wait for the worker only the newest is asked about. */
  readonly ask: (text: string) => void;
  /** Lets go of what was asked: no answer to it will come. */
  readonly drop: () => void;
}

/** Browsers do not say why a script did not load. */
const NOT_LOADED = 'the script that answers could not be loaded; load the page again';

/**
 * Asks a worker of its own, started with the first question.
 *
 * @param whenDropped what becomes of a question that the worker is at: it `finishes`, which keeps the worker warm, or `stops`,
 *   for questions that take longer than a start anew
 */
export function createAsker<Kind extends keyof Answers>(
  kind: Kind,
  whenDropped: 'finishes' | 'stops',
  answered: (reply: Reply<Kind>) => void,
): Asker {
  let worker: Worker | undefined;
  /** Number of the question that the worker is at, and the one that follows. */
  let current: number | undefined;
  let waiting: Question | undefined;
  /** Number of the newest question; a dropped one counts twice, so that its answer is none to the newest. */
  let newest = 0;

  const start = (): Worker => {
    const started = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    started.addEventListener('message', ({ data }: MessageEvent<Reply<Kind>>) => {
      if (worker !== started) return;
      current = undefined;
      send();
      if (data.id === newest) answered(data);
    });
    // It could not be loaded, or broke off: the next question gets another one.
    started.addEventListener('error', ({ message }) => {
      if (worker !== started) return;
      const failed = current;
      stop();
      send();
      if (failed === newest) answered({ id: failed, failed: message || NOT_LOADED });
    });
    return started;
  };
  const send = (): void => {
    if (current !== undefined || waiting === undefined) return;
    worker ??= start();
    worker.postMessage(waiting);
    current = waiting.id;
    waiting = undefined;
  };
  const stop = (): void => {
    worker?.terminate();
    worker = undefined;
    current = undefined;
  };
  const drop = (): void => {
    newest++;
    waiting = undefined;
    if (current !== undefined && whenDropped === 'stops') stop();
  };
  const ask = (text: string): void => {
    waiting = { id: ++newest, ask: kind, text };
    send();
  };
  return { ask, drop };
}
