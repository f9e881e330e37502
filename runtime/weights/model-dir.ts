/**
 * Opens a model, which is a Hugging Face directory or a GGUF file: its configuration and where every tensor lies. Reads
 * headers only. `hf:org/name` stands for a directory of the local cache; nothing here ever downloads.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { RuntimeFailure } from '../failure.js';
import { systemReason } from '../system-reason.js';
import { openGgufModel } from './gguf/model.js';
import { readSafetensorsHeader, type StoredTensor } from './safetensors.js';

export interface ModelDirectory {
  /** The directory, or the one that the GGUF file is in. */
  readonly dir: string;
  /** `config.json`, or the GGUF file. */
  readonly configPath: string;
  /** Parsed `config.json`, or its fields as a GGUF file's metadata have them. */
  readonly configJson: Readonly<Record<string, unknown>>;
  /** Parsed `generation_config.json`; empty when there is none. */
  readonly generationConfig: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Where fetched models live: `$FULCRUM_CACHE/models`, or `~/.cache/fulcrum/models`. */
export function modelCacheDirectory(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return join(env['FULCRUM_CACHE'] || join(homedir(), '.cache', 'fulcrum'), 'models');
}

/** Whether a model is one GGUF file. */
export function isGguf(path: string): boolean {
  return path.toLowerCase().endsWith('.gguf');
}

/** Directory of a model, given as `resolveModelDirectory` gives it: what is not in a GGUF file stands beside it. */
export function modelFolder(model: string): string {
  return isGguf(model) ? dirname(model) : model;
}

/**
 * Directory or GGUF file of a model source: `hf:org/name` in the cache, anything else as a path relative to the
 * directory of the plan file `sourceBase` (or to the working directory). Fails with FC0910 when there is none.
 */
export function resolveModelDirectory(source: string, sourceBase?: string): string {
  const hub = /^hf:(.*)$/.exec(source)?.[1];
  if (hub !== undefined) {
    if (!/^[\w.-]+\/[\w.-]+$/.test(hub) || hub.split('/').includes('..')) {
      throw new RuntimeFailure('FC0910', `\`${source}\` is not of the form hf:org/name`, { subject: source });
    }
    const dir = join(modelCacheDirectory(), hub);
    if (existsSync(join(dir, 'config.json'))) return dir;
    throw new RuntimeFailure('FC0910', `model ${source} is not in the local cache`, {
      subject: source,
      help: `put its config.json, tokenizer.json and *.safetensors files into ${dir}`,
    });
  }
  const dir = resolve(sourceBase === undefined ? '.' : dirname(sourceBase), source);
  const found = statSync(dir, { throwIfNoEntry: false });
  if (isGguf(dir) ? !found?.isFile() : !found?.isDirectory()) {
    throw new RuntimeFailure('FC0910', `there is no model ${isGguf(dir) ? 'file' : 'directory'} ${dir}`, {
      subject: dir,
      help: 'a `source` is relative to its plan file; `fulcrum run --model DIRECTORY` takes the model from elsewhere',
    });
  }
  return dir;
}

/**
 * Opens a directory or GGUF file given as a path. Fails with FC0910 (missing file), FC0911 (damaged file) or FC0913 (a
 * tensor of unknown type).
 */
export function openModelDirectory(dir: string): ModelDirectory {
  if (isGguf(dir))
    return { dir: modelFolder(dir), configPath: dir, generationConfig: {}, ...openGgufModel(dir) };
  const configPath = join(dir, 'config.json');
  const generationPath = join(dir, 'generation_config.json');
  return {
    dir,
    configPath,
    configJson: readJsonObject(configPath),
    generationConfig: existsSync(generationPath) ? readJsonObject(generationPath) : {},
    tensors: openTensors(dir),
  };
}

const FETCH_AGAIN = 'fetch the file again, or mend it';

/** Parses a JSON file that must hold an object. Fails with FC0910 (missing) or FC0911 (not an object). */
export function readJsonObject(path: string): Readonly<Record<string, unknown>> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new RuntimeFailure('FC0910', `cannot read ${path}: ${systemReason(cause)}`, {
      subject: path,
      help: 'the model needs this file: fetch it or make it readable',
      cause,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RuntimeFailure('FC0911', `${path} is not JSON: ${(cause as Error).message}`, {
      subject: path,
      help: FETCH_AGAIN,
      cause,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RuntimeFailure('FC0911', `${path} does not hold a JSON object`, {
      subject: path,
      help: FETCH_AGAIN,
    });
  }
  return value as Record<string, unknown>;
}

/** One `model.safetensors`, or the shards that `model.safetensors.index.json` lists. */
function openTensors(dir: string): Map<string, StoredTensor> {
  const single = join(dir, 'model.safetensors');
  if (existsSync(single)) return readSafetensorsHeader(single);
  const indexPath = join(dir, 'model.safetensors.index.json');
  if (!existsSync(indexPath)) {
    throw new RuntimeFailure(
      'FC0910',
      `${dir} has neither model.safetensors nor model.safetensors.index.json`,
      { subject: dir, help: 'weights must be in safetensors files' },
    );
  }
  return openShards(dir, indexPath);
}

function openShards(dir: string, indexPath: string): Map<string, StoredTensor> {
  const weightMap = readJsonObject(indexPath)['weight_map'];
  if (typeof weightMap !== 'object' || weightMap === null) {
    throw new RuntimeFailure('FC0911', `${indexPath} has no weight_map`, {
      subject: indexPath,
      help: FETCH_AGAIN,
    });
  }
  const shards = new Map<string, Map<string, StoredTensor>>();
  const tensors = new Map<string, StoredTensor>();
  for (const [name, file] of Object.entries(weightMap as Record<string, unknown>)) {
    if (typeof file !== 'string' || basename(file) !== file || /^\.{0,2}$/.test(file)) {
      throw new RuntimeFailure('FC0911', `${indexPath} gives no file name for tensor ${name}`, {
        subject: name,
        help: FETCH_AGAIN,
      });
    }
    const path = join(dir, file);
    const held = shards.get(file) ?? readSafetensorsHeader(path);
    shards.set(file, held);
    const tensor = held.get(name);
    if (!tensor) {
      throw new RuntimeFailure('FC0912', `${path} has no tensor ${name}, which ${indexPath} says it holds`, {
        subject: name,
        help: 'index and weights are of different models: fetch both again',
      });
    }
    tensors.set(name, tensor);
  }
  return tensors;
}
