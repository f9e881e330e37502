/** Imports modules of the project as they stand, without a build. */
import { fileURLToPath, URL } from 'node:url';
import { runnerImport } from 'vite';

/** The module at a path from the root. */
export async function importSource(path) {
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
  const { module } = await runnerImport(file, { configFile: false, logLevel: 'error' });
  return module;
}
