/** A worker thread of the encoder pool: has a tokenizer of its own and encodes what it is sent. */
import { parentPort, workerData } from 'node:worker_threads';
import type { ModelSpec } from '../../compiler/model/shape.js';
import { openTokenizer } from '../tokenizer/open-tokenizer.js';
import { encodePrompt, type EncodedPrompt, type PromptInput } from './prompt-encoder.js';

export interface EncodeWorkerData {
  readonly model: ModelSpec;
  readonly modelDirectory?: string;
}

/** Prompts in, in their order; `EncodedTask` comes back with the same number. */
export interface EncodeTask {
  readonly task: number;
  readonly inputs: readonly PromptInput[];
}

export interface EncodedTask {
  readonly task: number;
  readonly prompts: readonly EncodedPrompt[];
}

const { model, modelDirectory } = workerData as EncodeWorkerData;
const tokenizer = openTokenizer(model, modelDirectory);
parentPort!.on('message', ({ task, inputs }: EncodeTask) => {
  const prompts = inputs.map((input) => encodePrompt(input, tokenizer, model.shape.context));
  parentPort!.postMessage({ task, prompts } satisfies EncodedTask);
});
