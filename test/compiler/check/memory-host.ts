/** A compiler host over texts in memory, and models by their `config.json`. */
import { readFileSync } from 'node:fs';
import { checkFile, type CheckOptions, type CheckResult } from '../../../compiler/check/check-file.js';
import type { CompilerHost } from '../../../compiler/host.js';

const CLERK = new URL('../../../plans/models/clerk/config.json', import.meta.url);

/** The demo model's config, as a starting point for others. */
export const clerkConfig = JSON.parse(readFileSync(CLERK, 'utf8')) as Readonly<Record<string, unknown>>;

/** Serves `files` by path; every model source ending in `clerk` is the demo model, others are looked up in `models`. */
export function memoryHost(
  files: Readonly<Record<string, string>>,
  models: Readonly<Record<string, unknown>> = {},
): CompilerHost {
  return {
    readText: (path) => (Object.hasOwn(files, path) ? files[path] : undefined),
    resolve: (_from, specifier) => specifier.replace(/^\.\//, ''),
    readModelConfig: (_from, source) => {
      if (source.endsWith('clerk'))
        return { kind: 'found', path: `${source}/config.json`, json: clerkConfig };
      if (Object.hasOwn(models, source))
        return { kind: 'found', path: `${source}/config.json`, json: models[source] };
      return { kind: 'missing', path: source, why: 'there is no such folder' };
    },
  };
}

/** Checks one text, with other files and models beside it. */
export function checkText(
  text: string,
  options: CheckOptions & {
    readonly files?: Readonly<Record<string, string>>;
    readonly models?: Readonly<Record<string, unknown>>;
  } = {},
): CheckResult {
  return checkFile(memoryHost({ ...options.files, 'main.plan': text }, options.models), 'main.plan', options);
}
