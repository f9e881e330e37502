/**
 * Checks a model against the runtime graph before any device work: every tensor that some rank needs is there, is a
 * weight type, and has exactly the extent that all ranks together cover; the tokenizer's ids fit the embedding.
 */
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { RuntimeFailure } from '../failure.js';
import { neededTensors } from './graph-tensors.js';
import type { WeightSource } from './weight-source.js';

/** Fails with FC0912 (a tensor is missing) or FC0913 (wrong dtype or shape), naming tensor and file. */
export function validateWeights(
  graph: Pick<RuntimeGraph, 'stages'>,
  source: WeightSource,
  modelDirectory: string,
): void {
  for (const needed of neededTensors(graph).values()) {
    const found = source.tensor(needed.name);
    if (!found) {
      throw new RuntimeFailure('FC0912', `${modelDirectory} has no tensor ${needed.name}`, {
        subject: needed.name,
        help: 'config.json may describe another model than the weights',
      });
    }
    if (found.rows !== needed.rows || found.cols !== needed.cols) {
      throw new RuntimeFailure(
        'FC0913',
        `tensor ${needed.name} in ${found.origin} is ${size(found)}, config.json asks for ${size(needed)}`,
        { subject: needed.name },
      );
    }
  }
}

/** Fails with FC0915 when the tokenizer can produce an id that the embedding table does not have. */
export function validateVocabulary(
  tokenizer: { readonly largestId: number; readonly origin: string },
  vocab: number,
): void {
  if (tokenizer.largestId < vocab) return;
  throw new RuntimeFailure(
    'FC0915',
    `${tokenizer.origin} has token ids up to ${tokenizer.largestId}, the model's vocabulary has ${vocab} entries`,
    { subject: tokenizer.origin, help: 'the tokenizer belongs to another model' },
  );
}

function size(matrix: { readonly rows: number; readonly cols: number }): string {
  return matrix.rows === 1 ? `[${matrix.cols}]` : `[${matrix.rows}, ${matrix.cols}]`;
}
