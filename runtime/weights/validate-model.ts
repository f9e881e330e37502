/**
 * Checks a model against the runtime graph before any device work: every tensor that some rank needs is there, is a
 * weight type, and has exactly the extent that all ranks together cover; no layer is left out; the tokenizer's ids fit the
 * embedding; and config.json still describes the model that the plan was compiled for.
 */
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import { shapeFromConfig, type ConfigProblem } from '../../compiler/model/config.js';
import type { ModelShape } from '../../compiler/model/shape.js';
import { isFileType } from '../../compiler/model/weight-types.js';
import { RuntimeFailure } from '../failure.js';
import { neededTensors } from './graph-tensors.js';
import { isGguf, type ModelDirectory } from './model-dir.js';
import type { WeightSource } from './weight-source.js';

/** Fails with FC0912 (a tensor is missing) or FC0913 (wrong dtype or shape), naming tensor and file. */
export function validateWeights(
  graph: Pick<RuntimeGraph, 'stages'>,
  source: WeightSource,
  model: Pick<ModelDirectory, 'dir' | 'configPath'>,
): void {
  const { files, config, other, mixed } = wordsFor(model);
  for (const needed of neededTensors(graph).values()) {
    const found = source.tensor(needed.name);
    if (!found) {
      throw new RuntimeFailure('FC0912', `${files} has no tensor ${needed.name}`, {
        subject: needed.name,
        help: other,
      });
    }
    if (found.rows !== needed.rows || found.cols !== needed.cols) {
      throw new RuntimeFailure(
        'FC0913',
        `tensor ${needed.name} in ${found.origin} is ${size(found)}, ${config} asks for ${size(needed)}`,
        { subject: needed.name, help: mixed },
      );
    }
    if (needed.dtype !== undefined && isFileType(needed.dtype) && found.dtype !== needed.dtype) {
      throw new RuntimeFailure(
        'FC0913',
        `tensor ${needed.name} in ${found.origin} is ${found.dtype}; the plan was compiled for the ${needed.dtype} blocks of another file`,
        { subject: needed.name, help: 'name this model as the `source` in the plan and compile it again' },
      );
    }
  }
}

/**
 * Fails with FC0919 when config.json describes another model than `compiled`, whatever the tensors say: a different
 * rope_theta, for one, changes every answer and no shape.
 */
export function validateShape(
  compiled: ModelShape,
  { configPath, configJson }: Pick<ModelDirectory, 'configPath' | 'configJson'>,
): void {
  // A plan may use less of the context than the model has.
  const read = shapeFromConfig(configJson, compiled.context);
  if (read.kind === 'problems') {
    const problems = read.problems.map(describeProblem).join('; ');
    throw new RuntimeFailure('FC0919', `cannot run the model of ${configPath}: ${problems}`, {
      subject: configPath,
    });
  }
  // The family decides nothing but other fields.
  const fields = Object.keys({ ...compiled, ...read.shape }).filter((field) => field !== 'family');
  const different = (fields as (keyof ModelShape)[])
    .map((field) => [field, shown(read.shape[field]), shown(compiled[field])] as const)
    .filter(([, found, wanted]) => found !== wanted)
    .map(([field, found, wanted]) => `${snakeCase(field)} ${found} instead of ${wanted}`);
  if (different.length === 0) return;
  throw new RuntimeFailure(
    'FC0919',
    `${configPath} is of another model than the plan was compiled for: it has ${different.join(', ')}`,
    {
      subject: configPath,
      help: 'name this directory as the `source` of the model and compile the plan again',
    },
  );
}

/**
 * Fails with FC0919 when the weights have layers behind the last of config.json: without them every answer is another,
 * and no tensor is missed. No family that can be run has any that a model does not use.
 */
export function validateLayers(
  { layers }: Pick<ModelShape, 'layers'>,
  model: Pick<ModelDirectory, 'dir' | 'configPath' | 'tensors'>,
): void {
  for (const [stored, { name, file }] of model.tensors) {
    const layer = /^model\.layers\.(\d+)\./.exec(stored)?.[1];
    if (layer === undefined || Number(layer) < layers) continue;
    const what = `${model.configPath} asks for ${layers} layers, the weights have more: tensor ${name} in ${file}`;
    throw new RuntimeFailure('FC0919', what, {
      subject: name,
      help: wordsFor(model).other,
    });
  }
}

/** How messages speak of a model: where its tensors are, what says what they are like, and what may be wrong with both. */
function wordsFor({ dir, configPath }: Pick<ModelDirectory, 'dir' | 'configPath'>) {
  return isGguf(configPath)
    ? {
        files: configPath,
        config: 'its metadata',
        other: 'the file may have been converted badly: fetch or convert it again',
        mixed: 'the file is damaged, or the plan names another model',
      }
    : {
        files: dir,
        config: 'config.json',
        other: 'config.json may describe another model than the weights',
        mixed:
          'config.json and weights are of different models, or the plan names another: take all from one place',
      };
}

function describeProblem(problem: ConfigProblem): string {
  switch (problem.kind) {
    case 'architecture':
      return `architecture ${problem.architecture} is not supported (${problem.known.join(', ')} are)`;
    case 'feature':
      return `it asks for ${problem.feature}, which is not supported`;
    case 'field':
      return problem.problem;
  }
}

/** Values as text that is equal when they are; key order does not count. */
function shown(value: ModelShape[keyof ModelShape]): string {
  if (typeof value !== 'object') return value === undefined ? 'none' : String(value);
  return JSON.stringify(Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** Fields as plan files spell them. */
function snakeCase(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
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
