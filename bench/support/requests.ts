/** Requests of set lengths for benchmarks: prompts of made-up ids, greedy, and as many new tokens as asked for. */
import type { Engine } from '../../runtime/engine/types.js';
import { GREEDY } from '../../test/fixtures/greedy.js';

export interface RequestSize {
  readonly promptTokens: number;
  readonly newTokens: number;
}

/**
 * Submits the requests; one that fails throws from `run`.
 *
 * @param sharedTokens so many tokens at the beginning are the same in all prompts
 */
export function submitRequests(
  engine: Engine,
  vocab: number,
  sizes: readonly RequestSize[],
  sharedTokens = 0,
): void {
  sizes.forEach(({ promptTokens, newTokens }, request) => {
    engine.submit({
      promptIds: Array.from(
        { length: promptTokens },
        (_, i) => ((i < sharedTokens ? 0 : (request + 1) * 131) + i * 17) % vocab,
      ),
      maxNewTokens: newTokens,
      stopIds: [],
      sampling: GREEDY,
      onToken: () => false,
      onFinish: () => undefined,
      onError: (error) => {
        throw error;
      },
    });
  });
}
