/** What commands load before they begin: packages of many modules take longer to load than a plan takes to compile. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { importsOf, ROOT } from './source-files.js';

/** Packages that compiled modules import before they run, themselves and through each other. */
function packagesOf(...modules: readonly string[]): readonly string[] {
  const packages = new Set<string>();
  const seen = new Set(modules);
  for (const path of seen) {
    const text = readFileSync(join(ROOT, 'dist', path), 'utf8').replaceAll(/\bimport\([^)]*\)/g, '');
    for (const specifier of importsOf(text)) {
      if (specifier.startsWith('.')) seen.add(posix.join(posix.dirname(path), specifier));
      else if (!specifier.startsWith('node:')) packages.add(specifier);
    }
  }
  return [...packages];
}

describe('the start of a command', () => {
  it.each(['check', 'demo', 'devices', 'explain', 'run', 'simulate', 'tune'])(
    'loads no package for %s but the command line',
    (name) => {
      expect(packagesOf('cli/main.js', `cli/commands/${name}.js`)).toEqual(['commander']);
    },
  );

  // V8 says nothing of flags that it does not know.
  it('sets flags that V8 has', () => {
    const main = readFileSync(join(ROOT, 'cli/main.ts'), 'utf8');
    const flags = [...main.matchAll(/setFlagsFromString\('(--[a-z-]+)=/g)].map(([, flag]) => flag);
    const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
    expect(flags).toHaveLength(1);
    for (const flag of flags) expect(known).toContain(` ${flag} (`);
  });

  it('finds packages through other modules', () => {
    expect(packagesOf('cli/run-requests.js')).toContain('zod');
  });
});
