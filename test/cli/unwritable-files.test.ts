/** Files that a command is to write and cannot: said before the long work, as it would be said behind it. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { whyUnwritable, writeText } from '../../cli/write-text.js';
import { runInProcess } from './run-program.js';

const PLAN = `import { workstation } from "std/local"
model m { layers: 2, hidden: 64, heads: 8, kv_heads: 4, ffn: 96, vocab: 100, context: 128, weights: f32 }
workload w { requests: 6, prompt: 20 tokens, output: 8 tokens }
plan p for m on workstation { stage serve: prefill + decode on gpu { mesh (tp: 4) } }
`;

let folder = '';
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fulcrum-unwritable-'));
  mkdirSync(at('folder'));
  writeFileSync(at('good.plan'), PLAN);
  writeFileSync(at('there.txt'), 'as it was');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a file to write', () => {
  it.each(['folder', 'absent/x.txt', 'there.txt/x.txt', 'there.txt/y/x.txt'])(
    'is refused beforehand in the words of a failed write: %s',
    (name) => {
      const why = whyUnwritable(at(name));
      expect(why).toMatch(/^cannot write .*: [a-z ]+$/);
      expect(writeText(at(name), '')).toBe(why);
    },
  );

  it.skipIf(process.getuid?.() === 0)('is refused where nobody may write', () => {
    mkdirSync(at('closed'));
    chmodSync(at('closed'), 0o500);
    writeFileSync(at('locked.txt'), '');
    chmodSync(at('locked.txt'), 0o400);
    for (const name of ['closed/x.txt', 'locked.txt']) {
      expect(whyUnwritable(at(name))).toContain('permission denied');
      expect(writeText(at(name), '')).toBe(whyUnwritable(at(name)));
    }
    chmodSync(at('closed'), 0o700);
  });

  it('stays as it is, or absent, when it is only asked about', () => {
    const before = statSync(at('there.txt')).mtimeMs;
    symlinkSync(at('there.txt'), at('link.txt'));
    for (const name of ['there.txt', 'link.txt', 'new.txt']) expect(whyUnwritable(at(name))).toBeUndefined();
    expect(readFileSync(at('there.txt'), 'utf8')).toBe('as it was');
    expect(statSync(at('there.txt')).mtimeMs).toBe(before);
    expect(existsSync(at('new.txt'))).toBe(false);
  });
});

/** Commands that write the file whose name comes last, and how they begin to say that they cannot. */
const WRITERS: readonly [args: readonly string[], prefix: string][] = [
  [['simulate', 'good.plan', '--html'], 'error: '],
  [['simulate', 'good.plan', '--trace'], 'error[FC0940]: '],
  [['graph', 'good.plan', '--format', 'svg', '--out'], 'error: '],
  [['compile', 'good.plan', '-o'], 'error: '],
];

describe('before the long work', () => {
  it.each([...WRITERS, [['devices', '--calibrate', '-o'], 'error: ']])(
    'it is refused: %j',
    async (args, prefix) => {
      const before = readdirSync(folder);
      for (const [name, why] of [
        ['absent/x', 'no such file or directory'],
        ['folder', 'illegal operation on a directory'],
      ] as const) {
        const command = args.map((arg) => (arg === 'good.plan' ? at(arg) : arg));
        const run = await runInProcess(...command, at(name));
        // Nothing else is said either: what a command says of its work comes later.
        expect(run).toEqual({ status: 3, out: '', err: `${prefix}cannot write ${at(name)}: ${why}\n` });
      }
      expect(readdirSync(folder)).toEqual(before);
    },
  );
});

describe('a plan file that is read', () => {
  it.each([...WRITERS, [['devices', '--calibrate', '--like', 'good.plan', '-o'], 'error: ']])(
    'is not written over: %j',
    async (args, prefix) => {
      rmSync(at('same.plan'), { force: true });
      symlinkSync(at('good.plan'), at('same.plan'));
      for (const name of ['good.plan', 'same.plan']) {
        const command = args.map((arg) => (arg === 'good.plan' ? at(arg) : arg));
        const run = await runInProcess(...command, at(name));
        const err = `${prefix}cannot write ${at(name)}: it is what is read\n`;
        expect(run).toEqual({ status: 3, out: '', err });
      }
      expect(readFileSync(at('good.plan'), 'utf8')).toBe(PLAN);
    },
  );

  it.each([[['--overwrite', '--out']], [['--out', 'x', '--trace']], [['--out', 'x', '--summary']]])(
    'is not written over by a run: %j',
    async (options) => {
      writeFileSync(at('requests.jsonl'), '{"custom_id": "a", "body": {"prompt": "x", "max_tokens": 1}}\n');
      const named = options.map((each) => (each === 'x' ? at(each) : each));
      const run = await runInProcess(
        ...['run', at('good.plan'), '--requests', at('requests.jsonl')],
        ...named,
        at('good.plan'),
      );
      expect(run).toMatchObject({ status: 3, out: '' });
      expect(run.err).toMatch(`cannot write ${at('good.plan')}: it is the file of the plan`);
      expect(readFileSync(at('good.plan'), 'utf8')).toBe(PLAN);
    },
  );
});
