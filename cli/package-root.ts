/** Where the installed package lies: above the compiled files, or above the sources. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Manifest {
  readonly name?: string;
  readonly version?: string;
}

function readManifest(directory: string): Manifest | undefined {
  const path = join(directory, 'package.json');
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Manifest) : undefined;
}

function findPackageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (readManifest(directory)?.name !== 'fulcrum') {
    const parent = dirname(directory);
    if (parent === directory) throw new Error('the files of fulcrum stand outside its package');
    directory = parent;
  }
  return directory;
}

/** Folder with `package.json` and `plans/`. */
export const PACKAGE_ROOT = findPackageRoot();

/** Version of the package. */
export const VERSION = readManifest(PACKAGE_ROOT)?.version ?? '0.0.0';
