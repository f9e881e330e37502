/**
 * Analyses files beside the server, so that checking and compiling never keep a keystroke waiting. One thread checks and
 * another compiles: a file is checked at once, however long the plans of others, or those of its text before, take.
 */
import type { Analysis } from './analysis.js';
import { openThread, type AnalystAnswer, type AnalystThread } from './analyst-thread.js';

export interface Analyst {
  /** Asks for a file; answers come through `onAnalysis` until it is asked for again. */
  readonly ask: (path: string, openTexts: ReadonlyMap<string, string>) => void;
  readonly forget: (path: string) => void;
  readonly close: () => Promise<void>;
}

export interface AnalystEvents {
  readonly onAnalysis: (analysis: Analysis) => void;
  readonly onFailure: (message: string) => void;
}

/** An analyst whose threads start with the first question. */
export function openAnalyst({ onAnalysis, onFailure }: AnalystEvents): Analyst {
  const tell = ({ analysis, failure }: AnalystAnswer): void => {
    if (failure !== undefined) onFailure(failure);
    if (analysis !== undefined) onAnalysis(analysis);
  };
  const compiling = openThread({ onAnswer: (_, answer) => tell(answer), onFailure });
  const checking = openThread({
    onAnswer: (task, answer) => {
      tell(answer);
      if (answer.analysis !== undefined) compiling.ask({ ...task, rungs: 'upper' });
    },
    onFailure,
  });
  const threads: readonly AnalystThread[] = [checking, compiling];
  return {
    ask: (path, openTexts) => {
      compiling.forget(path);
      checking.ask({ rungs: 'checked', path, openTexts });
    },
    forget: (path) => {
      for (const thread of threads) thread.forget(path);
    },
    close: async () => {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}
