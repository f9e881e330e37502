/** The compiler's questions answered from the file system. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { CompilerHost, ModelConfigAnswer, Unreadable } from '../compiler/host.js';
import { RuntimeFailure } from './failure.js';
import { decodePlanText, NOT_UTF8 } from './plan-text.js';
import { systemReason } from './system-reason.js';
import { isGguf, openModelDirectory, resolveModelDirectory } from './weights/model-dir.js';

const WITHOUT_FILE = 'to plan without it, declare the shape in place of `source`';

function readModelConfig(from: string, source: string): ModelConfigAnswer {
  let path = source;
  try {
    const model = resolveModelDirectory(source, from);
    if (isGguf(model)) {
      return { kind: 'found', path: model, json: openModelDirectory(model).configJson, inMetadata: true };
    }
    path = join(model, 'config.json');
    if (!existsSync(path)) {
      const help = `a model directory holds a config.json; ${WITHOUT_FILE}`;
      return { kind: 'missing', path, why: `there is no file ${path}`, help };
    }
    return { kind: 'found', path, json: JSON.parse(readFileSync(path, 'utf8')) as unknown };
  } catch (error) {
    if (error instanceof RuntimeFailure) {
      return { kind: 'missing', path, why: error.message, help: error.details.help };
    }
    const help = `mend the file; ${WITHOUT_FILE}`;
    return { kind: 'missing', path, why: `${path} cannot be read: ${(error as Error).message}`, help };
  }
}

function readText(path: string): string | Unreadable | undefined {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return undefined;
    if (found.isDirectory()) return { why: 'is a folder' };
    return decodePlanText(readFileSync(path)) ?? { why: NOT_UTF8 };
  } catch (error) {
    return { why: `cannot be read: ${systemReason(error)}` };
  }
}

/** A host over the file system. Whatever is wrong with a file is an answer. */
export function fileHost(): CompilerHost {
  return {
    readText,
    resolve: (from, specifier) => resolve(dirname(from), specifier),
    readModelConfig,
  };
}
