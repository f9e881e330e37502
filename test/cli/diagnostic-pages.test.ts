/**
 * The pages of docs/diagnostics: one for each code, and what they show is so. An example of a plan fails with the code
 * of its page and its fix has no errors; commands run in a folder with a small model, and fail and succeed alike. No
 * device is opened here: a run that gets so far has passed all that a page of run time speaks of.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { describeCode, findCode, knownCodes, type KnownCode } from '../../cli/explain/codes.js';
import { readPage } from '../../cli/explain/pages.js';
import { checkFile } from '../../compiler/check/check-file.js';
import { filesBelow, ROOT } from '../architecture/source-files.js';
import { memoryHost } from '../compiler/check/memory-host.js';
import { compileAndSimulate } from '../fixtures/check-everything.js';
import { writeRandomModel } from '../fixtures/random-model.js';
import { runInProcess } from './run-program.js';
import { completionLine } from '../fixtures/batch-lines.js';

const DEVICE_OPENED = 'a device was opened';
vi.mock('../../runtime/device/dawn.js', () => ({
  openDevices: () => Promise.reject(new Error(DEVICE_OPENED)),
}));

/** One half of a page: the example, and the files beside it by name. */
interface Example {
  readonly language: string;
  /** `--set` of the example. */
  readonly set: Readonly<Record<string, string>>;
  readonly text: string;
  readonly files: Readonly<Record<string, string>>;
}

function exampleOf(page: string, heading: string): Example {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const fences = [...section.matchAll(/^```(\w+) ?(.*)\n([^]*?)^```$/gm)].map((match) => ({
    language: match[1]!,
    info: match[2]!,
    text: match[3]!,
  }));
  const [first, ...rest] = fences;
  expect(first, `no example below ${heading}`).toBeDefined();
  const [name, value] = first!.info.replace('--set ', '').split('=');
  return {
    language: first!.language,
    text: first!.text,
    set: value === undefined ? {} : { [name!]: value },
    files: Object.fromEntries(rest.map(({ info, text }) => [info, text])),
  };
}

/** What a plan example is found to have, as `code severity`. */
function problemsOf({ text, files, set }: Example): string[] {
  const models = Object.entries(files)
    .filter(([name]) => name.endsWith('/config.json'))
    .map(([name, json]) => [`./${dirname(name)}`, JSON.parse(json) as unknown] as const);
  const host = memoryHost({ ...files, 'example.plan': text }, Object.fromEntries(models));
  const { diagnostics } = compileAndSimulate(checkFile(host, 'example.plan', { set }), 'example.plan');
  return diagnostics.map(({ code, severity }) => `${code} ${severity}`);
}

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fulcrum-pages-'));
  const sizes = { layers: 2, hidden: 32, heads: 4, kvHeads: 2, ffn: 48, vocab: 300 };
  mkdirSync(join(folder, 'ready'));
  const put = (name: string, text: string): void => writeFileSync(join(folder, 'ready', name), text);
  writeRandomModel(join(folder, 'ready', 'model'), { seed: 1, ...sizes });
  put(
    'serve.plan',
    `import { workstation } from "std/local"
model m { source: "./model", weights: f32 }
plan serve for m on workstation { stage serve: prefill + decode on gpu { mesh (pp: 2, tp: 2) } }
`,
  );
  const body = { prompt: 'hello', max_tokens: 4 };
  put('requests.jsonl', `${completionLine('a', body)}\n`);
  put('lengths.jsonl', '{"prompt": 8, "output": 4}\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs the lines of an example in a folder of its own; what the last command of ours said, and how it ended. */
async function runLines({ text, files }: Example, name: string): Promise<{ status: number; err: string }> {
  const directory = join(folder, name);
  cpSync(join(folder, 'ready'), directory, { recursive: true });
  for (const [file, content] of Object.entries(files)) writeFileSync(join(directory, file), content);
  const here = process.cwd();
  process.chdir(directory);
  try {
    let last = { status: -1, err: '' };
    for (const line of text.trim().split('\n')) {
      if (line.startsWith('fulcrum ')) last = await runInProcess(...line.split(' ').slice(1));
      else execFileSync('/bin/sh', ['-c', line]);
    }
    return last;
  } finally {
    process.chdir(here);
  }
}

const pages = knownCodes().map((known) => ({ ...known, page: readPage(known.code) ?? '' }));
const codeOf = (entry: KnownCode): string => `${entry.code} ${entry.severity}`;

describe('the pages of diagnostics', () => {
  it('are one for each code, and listed', () => {
    const files = filesBelow('docs/diagnostics', ['.md']).map(({ path }) => path);
    const wanted = pages.map(({ code }) => `docs/diagnostics/${code}.md`);
    expect(files).toEqual([...wanted, 'docs/diagnostics/README.md'].sort());
    const index = readFileSync(join(ROOT, 'docs/diagnostics/README.md'), 'utf8');
    const rows = [...index.matchAll(/^\| \[(FC\d{4})\]\((.*?)\) +\| `(.*?)` +\| (\w+) +\|$/gm)];
    expect(rows.map((row) => row.slice(1))).toEqual(
      pages
        .toSorted((a, b) => index.indexOf(a.code) - index.indexOf(b.code))
        .map(({ code, slug, severity }) => [code, `${code}.md`, slug, severity]),
    );
  });

  it.each(pages)(
    '$code has its name, its message and something to say',
    ({ code, slug, severity, message, page }) => {
      const [title, , quote, , ...rest] = page.split('\n');
      expect(title).toBe(`# ${code} ${slug}`);
      expect(quote).toBe(`> ${severity}: ${message}`);
      expect(rest.join('\n').indexOf('## Fails')).toBeGreaterThan(30);
    },
  );

  it('are what `explain` prints', () => {
    const text = describeCode(findCode('FC0205')!);
    expect(text).toMatch(/^error\[FC0205\] import-cycle\n\n {2}these files import each other/);
    expect(text).toMatch(/\n {4}import \{ machine \} from "\.\/machine\.plan"\n/);
    expect(text).toMatch(/\n {2}# machine\.plan\n/);
    expect(text).not.toMatch(/```|\]\(/);
  });
});

/** Says nothing against a page without an example: the test of that code does, by name. */
const isPlan = ({ page }: { page: string }): boolean => /^## Fails\n+```plan\b/m.test(page);
const isTestedElsewhere = ({ page }: { page: string }): boolean => page.includes('[a test](');

describe('an example of a plan', () => {
  it.each(pages.filter(isPlan))('of $code fails with it, and its fix does not', (entry) => {
    expect(problemsOf(exampleOf(entry.page, 'Fails'))).toContain(codeOf(entry));
    const left = problemsOf(exampleOf(entry.page, 'Fixed'));
    expect(left.filter((problem) => problem.endsWith('error') || problem === codeOf(entry))).toEqual([]);
  });
});

describe('an example of the command line', () => {
  it.each(pages.filter((entry) => !isPlan(entry) && !isTestedElsewhere(entry)))(
    'of $code fails with it, and its fix does not',
    async ({ code, page }) => {
      const failed = await runLines(exampleOf(page, 'Fails'), `${code}-fails`);
      expect(failed.status).toBeGreaterThan(0);
      expect(failed.err).toContain(`[${code}]`);
      const fixed = await runLines(exampleOf(page, 'Fixed'), `${code}-fixed`);
      if (fixed.status !== 0) expect(fixed.err).toContain(DEVICE_OPENED);
      expect(fixed.err).not.toContain('[FC');
    },
  );

  it('that needs more than a command line is about run time, and names a test that provokes the code', () => {
    const elsewhere = pages.filter(isTestedElsewhere);
    expect(elsewhere.length).toBeLessThan(15);
    for (const { code, severity, page } of elsewhere) {
      expect(severity).toBe('failure');
      const path = join(ROOT, 'docs/diagnostics', /\[a test\]\((.*?)\)/.exec(page)![1]!);
      expect(existsSync(path), path).toBe(true);
      expect(readFileSync(path, 'utf8').includes(code), `${path} does not provoke ${code}`).toBe(true);
    }
  });
});
