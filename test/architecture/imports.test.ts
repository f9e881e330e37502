/** The folder rules of the architecture: which way imports point, what the pure folders may touch, file sizes. */
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesBelow, importsOf } from './source-files.js';

/** Folders of ours that a folder may import from, itself included. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  grammar: ['grammar'],
  compiler: ['grammar', 'compiler'],
  runtime: ['grammar', 'compiler', 'runtime'],
  cli: ['grammar', 'compiler', 'runtime', 'editor', 'cli'],
  editor: ['grammar', 'compiler', 'runtime', 'editor'],
  bench: ['grammar', 'compiler', 'runtime', 'cli', 'editor', 'bench', 'test'],
};

/** Packages that the folders which must run in a browser may import. */
const PURE_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  grammar: ['chevrotain'],
  compiler: ['zod'],
};

const MAX_LINES = 600;

const sources = Object.keys(MAY_IMPORT).flatMap((folder) => filesBelow(folder, ['.ts']));

/** A plan that a bundle takes in as text is no code. */
const isText = (specifier: string): boolean => specifier.endsWith('.plan?raw');

describe('import direction', () => {
  it('finds the sources', () => {
    expect(sources.map((file) => file.path)).toContain('grammar/syntax.ts');
    expect(
      importsOf(
        "import type { A } from './a.js';\nimport {\n  b,\n} from \"b\";\nawait import('c');\nimport 'd';\nexport * from './e.js';",
      ),
    ).toEqual(['./a.js', 'b', 'c', 'd', './e.js']);
  });

  it('points from cli to editor to runtime to compiler to grammar', () => {
    const wrong = sources.flatMap((file) => {
      const folder = file.path.split('/')[0]!;
      return importsOf(file.text)
        .filter((specifier) => specifier.startsWith('.') && !isText(specifier))
        .map((specifier) => posix.join(posix.dirname(file.path), specifier))
        .filter((target) => !MAY_IMPORT[folder]!.includes(target.split('/')[0]!))
        .map((target) => `${file.path} imports ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  it('keeps grammar and compiler free of node, WebGPU and unlisted packages', () => {
    const wrong = sources.flatMap((file) => {
      const allowed = PURE_PACKAGES[file.path.split('/')[0]!];
      if (allowed === undefined) return [];
      return importsOf(file.text)
        .filter((specifier) => !specifier.startsWith('.') && !allowed.includes(specifier))
        .map((specifier) => `${file.path} imports ${specifier}`);
    });
    expect(wrong).toEqual([]);
  });

  it('names the file extension in relative imports', () => {
    const wrong = sources.flatMap((file) =>
      importsOf(file.text)
        .filter((specifier) => specifier.startsWith('.') && !/\.(js|json|plan\?raw)$/.test(specifier))
        .map((specifier) => `${file.path} imports ${specifier}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe('source files', () => {
  it(`have at most ${MAX_LINES} lines`, () => {
    const long = [...sources, ...filesBelow('test', ['.ts'])]
      .map((file) => ({ path: file.path, lines: file.text.split('\n').length - 1 }))
      .filter((file) => file.lines > MAX_LINES);
    expect(long).toEqual([]);
  });

  it('have no default exports', () => {
    const wrong = sources.filter((file) => /^export default\b/m.test(file.text)).map((file) => file.path);
    expect(wrong).toEqual([]);
  });
});
