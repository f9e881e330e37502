/** The compiler's questions answered from the file system. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { CompilerHost, ModelConfigAnswer } from '../compiler/host.js';
import { RuntimeFailure } from './failure.js';
import { isGguf, openModelDirectory, resolveModelDirectory } from './weights/model-dir.js';

function readModelConfig(from: string, source: string): ModelConfigAnswer {
  let path = source;
  try {
    const model = resolveModelDirectory(source, from);
    if (isGguf(model)) return { kind: 'found', path: model, json: openModelDirectory(model).configJson };
    path = join(model, 'config.json');
    if (!existsSync(path)) return { kind: 'missing', path, why: `there is no file ${path}` };
    return { kind: 'found', path, json: JSON.parse(readFileSync(path, 'utf8')) as unknown };
  } catch (error) {
    if (error instanceof RuntimeFailure) {
      return { kind: 'missing', path, why: error.message, help: error.details.help };
    }
    return { kind: 'missing', path, why: `${path} cannot be read: ${(error as Error).message}` };
  }
}

/** A host over the file system. An unreadable file throws; a missing one is an answer. */
export function fileHost(): CompilerHost {
  return {
    readText: (path) => {
      const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
      return isFile ? readFileSync(path, 'utf8') : undefined;
    },
    resolve: (from, specifier) => resolve(dirname(from), specifier),
    readModelConfig,
  };
}
