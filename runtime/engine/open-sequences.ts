/**
 * The sequences an engine has in hand, each from `submit` to the callback that ends it: an answer's last token, an error
 * of its own, or nothing at all where the run failed. A request's constraint lives as long as its sequence.
 */
import type { Origin } from '../../compiler/diagnostics/diagnostic.js';
import { RuntimeFailure } from '../failure.js';
import { createLogitAdjuster } from '../sampling/adjust.js';
import type { NotFinite } from '../sampling/choose.js';
import { newTokensWithin } from '../scheduler/limits.js';
import { HOST } from '../trace/tracer.js';
import type { Tracer } from '../trace/tracer.js';
import type { PromptTree } from './prompt-tree.js';
import { stuckAnswer, takeToken, withoutLogits } from './sequence.js';
import type { Sequence } from './sequence.js';
import type { EngineRequest, GeneratedToken } from './types.js';

export interface OpenSequences {
  /** Takes a request in and numbers it. */
  admit(request: EngineRequest): { readonly id: number; readonly sequence: Sequence };
  /** A sequence that has not ended. */
  get(id: number): Sequence;
  /**
   * Hands a token to its request, or that there is none; true when it was the last. Of sequences given up nobody hears:
   * true, too.
   */
  deliver(id: number, token: GeneratedToken | NotFinite): boolean;
  /** Ends a sequence that can never run. */
  reject(id: number, why: string): void;
  /** Ends all of them without a word to their requests. */
  giveUp(): void;
  readonly size: () => number;
}

/**
 * @param longest tokens that a sequence may have: what the smallest pool on the way can hold bounds it as the model's
 * context does
 * @param origin of what is about requests on their way, in a trace
 * @param prompts where a trace is to say which of them begin alike
 */
export function createOpenSequences(
  longest: number,
  tracer: Tracer,
  origin: Origin | undefined,
  prompts?: PromptTree,
): OpenSequences {
  const sequences = new Map<number, Sequence>();
  let nextId = 0;

  function end(id: number): Sequence | undefined {
    const sequence = sequences.get(id);
    sequences.delete(id);
    sequence?.request.constraint?.dispose();
    return sequence;
  }

  return {
    admit(request) {
      const id = nextId++;
      const promptTokens = request.promptIds.length;
      const maxNewTokens = newTokensWithin(longest, promptTokens, request.maxNewTokens);
      const sequence: Sequence = {
        request,
        maxNewTokens,
        tokens: [...request.promptIds],
        promptTokens,
        begun: 0,
        prefilled: 0,
        ...(request.adjust && { adjuster: createLogitAdjuster(request.adjust, request.promptIds) }),
      };
      sequences.set(id, sequence);
      const slice = tracer.begin(HOST.requests, 'arrive', {
        request: id,
        promptTokens,
        maxNewTokens,
        ...prompts?.add(id, request.promptIds),
        origin,
      });
      slice.flow('start', id);
      slice.end();
      return { id, sequence };
    },
    get: (id) => sequences.get(id)!,
    deliver(id, token) {
      const sequence = sequences.get(id);
      if (sequence === undefined) return true;
      const { request } = sequence;
      const state = token === 'not_finite' ? token : takeToken(sequence, token);
      if (state === 'open') return false;
      end(id);
      if (state === 'not_finite') request.onError(withoutLogits(sequence));
      else if (state === 'stuck') request.onError(stuckAnswer(sequence));
      else request.onFinish(state);
      const generated = sequence.tokens.length - sequence.promptTokens;
      const slice = tracer.begin(HOST.requests, 'finish', { request: id, tokens: generated, origin });
      slice.flow('end', id);
      slice.end();
      return true;
    },
    reject(id, why) {
      const sequence = end(id);
      tracer.begin(HOST.requests, 'reject', { request: id, origin }).end();
      sequence?.request.onError(new RuntimeFailure('FC0917', why));
    },
    giveUp() {
      for (const id of [...sequences.keys()]) end(id);
    },
    size: () => sequences.size,
  };
}
