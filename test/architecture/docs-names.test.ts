/** What the README and the docs name exists: words of the sources, scripts, commands and their options. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { COMMANDS } from '../../cli/commands/index.js';
import { runInProcess } from '../cli/run-program.js';
import { filesBelow, ROOT, type SourceFile } from './source-files.js';

const README: SourceFile = { path: 'README.md', text: readFileSync(join(ROOT, 'README.md'), 'utf8') };
const PAGES: readonly SourceFile[] = [README, ...filesBelow('docs', ['.md'])];

/** Pages about the sources, whose code spans are words of these. */
const ABOUT_SOURCES = ['architecture', 'extending', 'ir', 'kernels', 'runtime-graph'];

/** Stand for others. */
const PLACEHOLDERS = new Set(['FCnnnn', 'FC09nn', 'LEVEL']);

const SOURCES = ['grammar', 'compiler', 'runtime', 'cli', 'editor', 'test', 'bench', 'scripts'];

function wordsOf(text: string): readonly string[] {
  return text.match(/[A-Za-z]\w+/g) ?? [];
}

/** Words of code spans; what stands in blocks is compared with what it shows by other tests. */
function namesIn(page: string): readonly string[] {
  const prose = page.replace(/^```.*?^```/gms, '');
  return [...prose.matchAll(/`([^`]+)`/g)].flatMap(([, span]) => wordsOf(span!));
}

/** Commands with their options, as spans and blocks have them. */
function commandsIn(page: string): readonly (readonly [command: string, ...options: string[]])[] {
  return [...page.matchAll(/\bfulcrum ([a-z]+)([^`#|\n]*)/g)].flatMap(([whole, command, rest]) =>
    / --[a-z]| [\w./-]+\.plan/.test(whole)
      ? [[command!, ...(rest!.match(/(?<= )--[a-z][\w-]*/g) ?? [])]]
      : [],
  );
}

describe('names in the docs', () => {
  const words = new Set([
    ...SOURCES.flatMap((folder) => filesBelow(folder, ['.ts', '.mts', '.mjs'])).flatMap(({ text }) =>
      wordsOf(text),
    ),
    ...wordsOf(readFileSync(join(ROOT, 'package.json'), 'utf8')),
  ]);

  it.each(ABOUT_SOURCES)('are words of the sources in docs/%s.md', (name) => {
    const page = PAGES.find(({ path }) => path === `docs/${name}.md`)!;
    const unknown = namesIn(page.text).filter((word) => !words.has(word) && !PLACEHOLDERS.has(word));
    expect(unknown).toEqual([]);
  });

  it('are found in spans, and not in blocks', () => {
    const page = 'a `first(second)` b\n```ts\nconst x = `third`\n```\n`fourth`';
    expect(namesIn(page)).toEqual(['first', 'second', 'fourth']);
  });

  it('are scripts after `npm run`', () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object };
    const unknown = PAGES.flatMap(({ path, text }) =>
      [...text.matchAll(/npm run ([\w:-]+)/g)].flatMap(([, name]) =>
        Object.hasOwn(scripts, name!) ? [] : [`${path}: ${name}`],
      ),
    );
    expect(unknown).toEqual([]);
  });
});

describe('commands in the docs', () => {
  it('exist, with their options', async () => {
    const help = new Map<string, string>();
    for (const name of COMMANDS.keys()) help.set(name, (await runInProcess(name, '--help')).out);
    const shown = PAGES.flatMap(({ path, text }) => commandsIn(text).map((each) => [path, ...each] as const));
    expect(shown.length).toBeGreaterThan(60);
    const unknown = shown.flatMap(([path, command, ...options]) => {
      const known = help.get(command!)?.match(/--[a-z][\w-]*/g);
      if (!known) return [`${path}: ${command}`];
      return options
        .filter((option) => !known.includes(option))
        .map((option) => `${path}: ${command} ${option}`);
    });
    expect(unknown).toEqual([]);
  });

  it('are told from sentences', () => {
    expect(commandsIn('`fulcrum check a.plan --sarif x --json`, and fulcrum reads it')).toEqual([
      ['check', '--sarif', '--json'],
    ]);
  });

  it('are all in the README', () => {
    const named = [...README.text.matchAll(/npx fulcrum ([a-z]+)/g)].map(([, name]) => name);
    expect([...COMMANDS.keys()].filter((name) => !named.includes(name))).toEqual([]);
  });
});
