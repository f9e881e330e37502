/** From a checked request to the engine and back: checks lengths, submits `n` sequences, gathers answers. */
import type { Engine, EngineRequest } from '../engine/types.js';
import type { LogitAdjustments } from '../sampling/adjust.js';
import { allowIds, bothAllow, type TokenConstraint } from '../sampling/constraint.js';
import type { JsonAnswers } from '../structured/json-answers.js';
import type { TextTokenizer } from '../tokenizer/tokenizer.js';
import { trackCompletion, type FinishedCompletion } from './completion-tracker.js';
import { beyondContext } from './prompt-encoder.js';
import { choiceSeed, type BatchRequest, type Penalties } from './request.js';
import { refuse, RequestRefused } from './request-error.js';

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
  /** Of the model. */
  readonly vocab: number;
  /** Present when the request wants JSON. */
  readonly answers?: JsonAnswers;
}

export interface RequestOutcome {
  readonly onAnswer: (choices: readonly FinishedCompletion[]) => void;
  readonly onFailure: (error: Error) => void;
}

/** Checks a request against the model. Throws RequestRefused. */
export function prepareRequest(
  request: BatchRequest,
  promptIds: readonly number[],
  model: ServedModel,
): PreparedRequest {
  if (promptIds.length === 0) refuse('empty_prompt', 'the prompt has no tokens', 'prompt');
  refuseOutside(promptIds, model.vocab, 'prompt');
  refuseOutside(request.stopTokenIds, model.vocab, 'stop_token_ids');
  refuseOutside(request.allowedIds ?? [], model.vocab, 'allowed_token_ids');
  refuseOutside(request.penalties?.logitBias.keys() ?? [], model.vocab, 'logit_bias');
  const room = model.context - promptIds.length;
  if (room < 1) throw new RequestRefused(beyondContext(promptIds.length, model.context, request.input));
  const maxNewTokens = Math.min(room, request.maxTokens ?? room);
  return { request: withoutIdleTopK(request, model.vocab), promptIds, maxNewTokens, vocab: model.vocab };
}

/** A `top_k` that leaves out nothing is none: tokens would be drawn another way, and be others for the same seed. */
function withoutIdleTopK(request: BatchRequest, vocab: number): BatchRequest {
  const { sampling } = request;
  return sampling.topK < vocab ? request : { ...request, sampling: { ...sampling, topK: 0 } };
}

function refuseOutside(ids: Iterable<number>, vocab: number, param: string): void {
  for (const id of ids) {
    if (id >= vocab) refuse('invalid_token', `token id ${id} is outside the vocabulary of ${vocab}`, param);
  }
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
  const echoed = request.echo ? promptText(prepared, tokenizer) : '';
  let open = request.n;
  let failed = false;
  for (let index = 0; index < request.n; index++) {
    engine.submit(
      engineRequest(prepared, tokenizer, index, {
        onDone: (completion) => {
          choices[index] = { ...completion, text: echoed + completion.text };
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
  prepared: PreparedRequest,
  tokenizer: TextTokenizer,
  index: number,
  events: {
    readonly onDone: (completion: FinishedCompletion) => void;
    readonly onError: (error: Error) => void;
  },
): EngineRequest {
  const { request, promptIds, maxNewTokens } = prepared;
  const stopIds = [...(request.ignoreEos ? [] : tokenizer.stopIds), ...request.stopTokenIds];
  const tracker = trackCompletion(tokenizer, {
    stop: request.stop,
    stopIds,
    reportIds: request.stopTokenIds,
    keepTokens: request.sampling.logprobs,
    minTokens: request.minTokens,
    includeStop: request.includeStop,
    keepSpecial: request.keepSpecialTokens,
  });
  const adjust = adjustmentsOf(request, tokenizer);
  const constraint = constraintOf(prepared, stopIds);
  return {
    promptIds,
    maxNewTokens,
    stopIds,
    sampling: { ...request.sampling, seed: choiceSeed(request.sampling.seed, index) },
    ...(adjust === undefined ? {} : { adjust }),
    ...(constraint === undefined ? {} : { constraint }),
    onToken: tracker.push,
    onFinish: (reason) => events.onDone(tracker.finish(reason)),
    onError: events.onError,
  };
}

function constraintOf(
  { request: { allowedIds, shape }, vocab, answers }: PreparedRequest,
  stopIds: readonly number[],
): TokenConstraint | undefined {
  const listed = allowedIds && allowIds(allowedIds, vocab);
  const structured = shape && answers?.follow(shape, stopIds);
  return listed && structured ? bothAllow(listed, structured) : (listed ?? structured);
}

/** The model's end tokens do not come within `min_tokens` even where they would not end the answer, as in vLLM. */
function adjustmentsOf(request: BatchRequest, tokenizer: TextTokenizer): LogitAdjustments | undefined {
  const { minTokens, penalties } = request;
  const ids = [...new Set([...tokenizer.stopIds, ...request.stopTokenIds])];
  if (penalties === undefined && (minTokens === 0 || ids.length === 0)) return undefined;
  return { ...NO_PENALTIES, ...penalties, minTokens: { count: minTokens, ids } };
}

const NO_PENALTIES: Penalties = {
  frequencyPenalty: 0,
  presencePenalty: 0,
  repetitionPenalty: 1,
  logitBias: new Map(),
};

/** The prompt as its answer repeats it. */
function promptText({ request, promptIds }: PreparedRequest, tokenizer: TextTokenizer): string {
  return request.input.kind === 'text' ? request.input.text : tokenizer.decode(promptIds);
}
