/** The tokenizer that belongs to a plan's model. */
import type { ModelSpec } from '../../compiler/model/shape.js';
import { RuntimeFailure } from '../failure.js';
import { resolveModelDirectory } from '../weights/model-dir.js';
import { loadTokenizer, type TextTokenizer } from './tokenizer.js';

/**
 * Loads the tokenizer of the model directory or GGUF file, and checks that its ids fit the model (FC0915). A model without a
 * directory has none: its requests give token ids, and its answers show them.
 */
export function openTokenizer(model: ModelSpec, modelDirectory?: string): TextTokenizer {
  if (modelDirectory === undefined && model.source === undefined) return idTokenizer(model);
  const found =
    modelDirectory === undefined
      ? resolveModelDirectory(model.source!, model.sourceBase)
      : resolveModelDirectory(modelDirectory);
  return loadTokenizer(found, model.shape.vocab);
}

/** Stands in where a model has weights but no text: the text of a token is its number in angle brackets. */
function idTokenizer(model: ModelSpec): TextTokenizer {
  const tokenText = (id: number): string => `<${id}>`;
  const decode = (ids: readonly number[]): string => ids.map(tokenText).join('');
  return {
    origin: model.name,
    largestId: model.shape.vocab - 1,
    encode: () => {
      throw new RuntimeFailure(
        'FC0917',
        `model ${model.name} has no tokenizer: give the prompt as token ids`,
      );
    },
    fewestIds: () => 0,
    decode,
    stream: () => ({ push: tokenText, flush: () => '' }),
    tokenText,
    stopIds: [],
    vocabulary: () => undefined,
  };
}
