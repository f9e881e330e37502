import { readFileSync } from 'node:fs';

/** Version of the installed package; the manifest stands above the compiled files and above the sources. */
export const VERSION = readVersion();

function readVersion(): string {
  for (const path of ['../../package.json', '../package.json']) {
    try {
      const manifest = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as {
        readonly name?: string;
        readonly version?: string;
      };
      if (manifest.name === 'fulcrum' && manifest.version !== undefined) return manifest.version;
    } catch {
      // Not at this level.
    }
  }
  return '0.0.0';
}
