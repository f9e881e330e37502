/** What commands load before they begin: to load packages of many modules takes longer than a plan takes to compile. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './source-files.js';

const PROGRAM = join(ROOT, 'dist/program');
const FILES = readdirSync(PROGRAM).filter((name) => name.endsWith('.js'));

function textOf(file: string): string {
  return readFileSync(join(PROGRAM, file), 'utf8');
}

/** Of the program, what the source files are that it is made of. */
const SOURCES = new Map(
  FILES.map((file): [string, readonly string[]] => {
    const map = join(PROGRAM, `${file}.map`);
    if (!existsSync(map)) return [file, []];
    return [file, (JSON.parse(readFileSync(map, 'utf8')) as { sources: string[] }).sources];
  }),
);

/** What a file of the program imports before it runs. */
function staticImports(file: string): readonly string[] {
  return [...textOf(file).matchAll(/^import (?:[^;]* from )?"([^"]+)";$/gm)].map(
    ([, specifier]) => specifier!,
  );
}

/** Packages that are loaded with a command before it begins. */
function packagesOf(command: string): readonly string[] {
  const own = FILES.filter((file) =>
    SOURCES.get(file)!.some((source) => source.endsWith(`/cli/commands/${command}.ts`)),
  );
  expect(own).toHaveLength(1);
  const seen = new Set(['main.js', ...own]);
  for (const file of seen)
    for (const specifier of staticImports(file)) if (specifier.startsWith('./')) seen.add(specifier.slice(2));
  const packages = [...seen]
    .flatMap((file) => SOURCES.get(file)!)
    .flatMap((source) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1] ?? []);
  return [...new Set(packages)].sort();
}

const PARSER = [
  ...['@chevrotain/gast', '@chevrotain/regexp-to-ast', '@chevrotain/utils'],
  ...['chevrotain', 'lodash-es'],
];

describe('the start of a command', () => {
  it.each(['demo', 'devices', 'explain', 'lsp', 'run'])('loads the command line alone for %s', (name) => {
    expect(packagesOf(name)).toEqual(['commander']);
  });

  it.each(['check', 'graph', 'simulate', 'tune'])('loads the parser as well for %s', (name) => {
    expect(packagesOf(name)).toEqual([...PARSER, 'commander'].sort());
  });

  it('finds packages through other files', () => {
    expect(packagesOf('fmt')).toContain('diff');
  });

  it('reads no package from disk but the one with native code', () => {
    const specifiers = FILES.flatMap((file) => [
      ...staticImports(file),
      ...[...textOf(file).matchAll(/\bimport\("([^"]+)"\)/g)].map(([, specifier]) => specifier!),
    ]);
    const outside = specifiers.filter((each) => !each.startsWith('./') && !isBuiltin(each));
    expect([...new Set(outside)]).toEqual(['webgpu']);
  });

  it('has every worker beside what starts it', () => {
    const workers = FILES.flatMap((file) => [
      ...textOf(file).matchAll(/new URL\("\.\/([^"]+)", import\.meta\.url\)/g),
    ]).map(([, name]) => name);
    const known = ['analyst-worker.js', 'encode-worker.js', 'follow-parent.js', 'trial-worker.js'];
    expect(workers.sort()).toEqual(known);
    expect(FILES).toEqual(expect.arrayContaining(workers));
  });

  it('says nothing of flags that V8 does not have', () => {
    const { stderr, stdout } = spawnSync(process.execPath, [join(PROGRAM, 'main.js'), '--version'], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  // Some versions of V8 say nothing of flags that they do not know, others print an error.
  it('sets flags that V8 has', () => {
    const settings = readFileSync(join(ROOT, 'cli/v8-settings.ts'), 'utf8');
    const flags = [...settings.matchAll(/'--(?:no-)?([a-z-]+)(?:=\d+)?'/g)].map(([, flag]) => flag);
    const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
    const expected = Number.parseInt(process.versions.v8) < 12 ? flags : flags.slice(1);
    expect(flags).toEqual([
      'interrupt-budget',
      'max-inlined-bytecode-size',
      'max-inlined-bytecode-size-cumulative',
      'turbo-loop-peeling',
      'allocation-site-pretenuring',
    ]);
    for (const flag of expected) expect(known).toContain(` --${flag} (`);
  });
});
