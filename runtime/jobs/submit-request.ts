/** From a checked request to the engine and back: tokenises, checks lengths, submits `n` sequences, gathers answers. */
import type { Engine, EngineRequest } from '../engine/types.js';
import type { TextTokenizer } from '../tokenizer/tokenizer.js';
import { trackCompletion, type FinishedCompletion } from './completion-tracker.js';
import { choiceSeed, type BatchRequest } from './request.js';
import { refuse } from './request-error.js';

/** What requests are checked against. */
export interface ServedModel {
  readonly name: string;
  /** Longest sequence, prompt and answer together, in tokens. */
  readonly context: number;
  readonly vocab: number;
}

/** A request ready to be submitted. */
export interface PreparedRequest {
  readonly request: BatchRequest;
  readonly promptIds: readonly number[];
  /** At most `max_tokens`, cut to what the context leaves. */
  readonly maxNewTokens: number;
}

export interface RequestOutcome {
  readonly onAnswer: (choices: readonly FinishedCompletion[]) => void;
  readonly onFailure: (error: Error) => void;
}

/** Tokenises and checks a request. Throws RequestRefused, or RuntimeFailure from the tokenizer. */
export function prepareRequest(
  request: BatchRequest,
  tokenizer: TextTokenizer,
  model: ServedModel,
): PreparedRequest {
  const promptIds = promptIdsOf(request, tokenizer);
  if (promptIds.length === 0) refuse('empty_prompt', 'the prompt has no tokens', 'prompt');
  const outside = promptIds.find((id) => id >= model.vocab);
  if (outside !== undefined) {
    refuse('invalid_token', `token id ${outside} is outside the vocabulary of ${model.vocab}`, 'prompt');
  }
  const room = model.context - promptIds.length;
  if (room < 1) {
    refuse(
      'context_length_exceeded',
      `the prompt has ${promptIds.length} tokens, the context of ${model.context} leaves no room for an answer`,
      request.input.kind === 'chat' ? 'messages' : 'prompt',
    );
  }
  return { request, promptIds, maxNewTokens: Math.min(room, request.maxTokens ?? room) };
}

/** Submits all answers of a request; exactly one of the outcome's functions is called, once, unless the run aborts. */
export function submitRequest(
  engine: Pick<Engine, 'submit'>,
  tokenizer: TextTokenizer,
  prepared: PreparedRequest,
  outcome: RequestOutcome,
): void {
  const { request } = prepared;
  const choices: FinishedCompletion[] = [];
  let open = request.n;
  let failed = false;
  for (let index = 0; index < request.n; index++) {
    engine.submit(
      engineRequest(prepared, tokenizer, index, {
        onDone: (completion) => {
          choices[index] = completion;
          if (--open === 0 && !failed) outcome.onAnswer(choices);
        },
        onError: (error) => {
          open--;
          if (!failed) outcome.onFailure(error);
          failed = true;
        },
      }),
    );
  }
}

function engineRequest(
  { request, promptIds, maxNewTokens }: PreparedRequest,
  tokenizer: TextTokenizer,
  index: number,
  events: {
    readonly onDone: (completion: FinishedCompletion) => void;
    readonly onError: (error: Error) => void;
  },
): EngineRequest {
  const stopIds = request.ignoreEos ? [] : tokenizer.stopIds;
  const tracker = trackCompletion(tokenizer, {
    stop: request.stop,
    stopIds,
    keepTokens: request.sampling.logprobs,
  });
  return {
    promptIds,
    maxNewTokens,
    stopIds,
    sampling: { ...request.sampling, seed: choiceSeed(request.sampling.seed, index) },
    onToken: tracker.push,
    onFinish: (reason) => events.onDone(tracker.finish(reason)),
    onError: events.onError,
  };
}

function promptIdsOf(request: BatchRequest, tokenizer: TextTokenizer): readonly number[] {
  const { input } = request;
  if (input.kind === 'ids') return input.ids;
  if (input.kind === 'text') return tokenizer.encode(input.text, true);
  if (!tokenizer.renderChat) {
    refuse('no_chat_template', 'the model has no chat template; use /v1/completions', 'messages');
  }
  // A chat template writes the start token itself.
  return tokenizer.encode(tokenizer.renderChat(input.messages), false);
}
