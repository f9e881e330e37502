/**
 * What the answers of a batch depend on, for the header of its journal: a resumed batch must be the one that was begun.
 *
 * Counted are the model (shape, weights, tokenizer, chat template), the requests, and of the plan what can move a
 * rounding and so a token: the phases and meshes of its stages, element types, page size, and the kernels with their
 * parameters. Not counted is what only decides speed: names, paths and layout of the plan file, devices and budgets,
 * batch sizes, page counts, tiers, switch rules, transitions. So a batch that ran out of memory can go on with a smaller
 * batch size. Where too few pages did end an answer, the journal says so of that answer (`FinishedRequest.room`).
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { ModelSpec } from '../../compiler/model/shape.js';
import { openModelDirectory, resolveModelDirectory } from '../weights/model-dir.js';
import type { BatchIdentity } from './journal-format.js';

export interface IdentifiedBatch {
  readonly graph: RuntimeGraph;
  /** Model directory in place of the one that the plan names. */
  readonly modelDirectory?: string;
  readonly requestsPath: string;
}

/** Reads the files that it names. Fails as opening the model does. */
export function batchIdentity({ graph, modelDirectory, requestsPath }: IdentifiedBatch): BatchIdentity {
  return {
    ...modelIdentity(graph.model, modelDirectory),
    ...planIdentity(graph),
    ...requestsIdentity(requestsPath),
  };
}

/** Digest of the line of a request, as the journal keeps it. */
export function requestDigest(line: string): string {
  return createHash('sha256').update(line).digest('hex').slice(0, 16);
}

function modelIdentity(model: ModelSpec, modelDirectory: string | undefined): BatchIdentity {
  const source = modelDirectory ?? model.source;
  if (source === undefined) return { weights: `random(${model.randomSeed ?? 'none'})` };
  const base = modelDirectory === undefined ? model.sourceBase : undefined;
  const { dir, tensors } = openModelDirectory(resolveModelDirectory(source, base));
  const files = [...new Set([...tensors.values()].map((tensor) => tensor.file))].sort();
  return {
    weights: shortened(files.reduce(addFile, createHash('sha256'))),
    config: filesDigest(dir, ['config.json', 'generation_config.json']),
    tokenizer: filesDigest(dir, ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja']),
  };
}

function planIdentity(graph: RuntimeGraph): BatchIdentity {
  const { model, kv, stages } = graph;
  const described = stages.map(
    ({ phases, mesh }) => `${phases.join('+')} dp ${mesh.dp} pp ${mesh.pp} tp ${mesh.tp}`,
  );
  const kernels = stages.map(({ programs }) => programs.map(({ layers, ops }) => ({ layers, ops })));
  return {
    'model shape': textDigest(canonical(model.shape)),
    'weight type': model.weights,
    'KV type': kv.dtype,
    'page size': `${kv.pageTokens} tokens`,
    stages: described.join(', '),
    kernels: textDigest(canonical(kernels)),
  };
}

function requestsIdentity(path: string): BatchIdentity {
  // A stream can be read only once; its lines are compared one by one when it is read again.
  if (!statSync(path).isFile()) return { requests: 'a stream' };
  const hash = createHash('sha256');
  const bytes = addBytes(hash, path, 1);
  return { requests: `${bytes} bytes, ${shortened(hash)}` };
}

/**
 * Fields of ops that leave the answers as they are: where the plan says so, the order of ops that do not wait for each
 * other, buffers, and how the layers of a KV pool are grouped into buffers, which follows from its page count. The page
 * size has a name of its own.
 */
const WITHOUT_EFFECT = new Set([
  'origin',
  'after',
  'id',
  'operands',
  'value',
  'out',
  'logits',
  'layer',
  'groupLayers',
  'pageTokens',
]);

/** JSON with sorted fields, without those that have no effect on answers. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => {
    if (WITHOUT_EFFECT.has(key)) return undefined;
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function textDigest(text: string): string {
  return shortened(createHash('sha256').update(text));
}

function filesDigest(dir: string, names: readonly string[]): string {
  const paths = names.map((name) => join(dir, name)).filter((path) => existsSync(path));
  return shortened(paths.reduce(addFile, createHash('sha256')));
}

/** Enough digits to tell batches apart, few enough to read out. */
function shortened(hash: Hash): string {
  return `sha256 ${hash.digest('hex').slice(0, 20)}`;
}

const PIECE = 1 << 16;
/** Larger files are sampled: a piece of every so many. */
const WHOLE_BELOW = 1 << 26;
const SAMPLED_PIECES = 16;

/** Adds a file's name, size and bytes; of a large file the first 64 KiB of every MiB, which other weights change too. */
function addFile(hash: Hash, path: string): Hash {
  const { size } = statSync(path);
  hash.update(`${basename(path)} ${size}\n`);
  addBytes(hash, path, size < WHOLE_BELOW ? 1 : SAMPLED_PIECES);
  return hash;
}

/** Adds every `step`th piece of a file; the number of bytes the file has. */
function addBytes(hash: Hash, path: string, step: number): number {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const buffer = Buffer.alloc(PIECE);
    for (let at = 0; at < size; at += PIECE * step) {
      hash.update(buffer.subarray(0, readSync(file, buffer, 0, PIECE, at)));
    }
    return size;
  } finally {
    closeSync(file);
  }
}
