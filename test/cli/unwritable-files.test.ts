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
import { whyUnwritable, writeText, writeWhole } from '../../cli/write-text.js';
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
      expect(why).toMatchObject({ code: 'FC0940', details: { subject: at(name) } });
      expect(why!.message).toMatch(/^cannot write .*: [a-z ]+$/);
      for (const write of [writeText, writeWhole]) expect(write(at(name), '')!.message).toBe(why!.message);
    },
  );

  it.skipIf(process.getuid?.() === 0)('is refused where nobody may write', () => {
    mkdirSync(at('closed'));
    chmodSync(at('closed'), 0o500);
    writeFileSync(at('locked.txt'), '');
    chmodSync(at('locked.txt'), 0o400);
    for (const name of ['closed/x.txt', 'locked.txt']) {
      expect(whyUnwritable(at(name))!.message).toContain('permission denied');
      expect(writeText(at(name), '')!.message).toBe(whyUnwritable(at(name))!.message);
    }
    chmodSync(at('closed'), 0o700);
  });

  it('takes the place of what was there, at the end of links, and leaves nothing beside it', () => {
    writeFileSync(at('held.txt'), 'old');
    symlinkSync(at('held.txt'), at('to-held.txt'));
    const before = readdirSync(folder);
    const old = statSync(at('held.txt')).ino;
    expect(writeWhole(at('to-held.txt'), 'new')).toBeUndefined();
    expect(readFileSync(at('held.txt'), 'utf8')).toBe('new');
    expect(statSync(at('held.txt')).ino).not.toBe(old);
    expect(readdirSync(folder)).toEqual(before);
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

/** Commands that write the file whose name comes last. */
const WRITERS: readonly (readonly string[])[] = [
  ['simulate', 'good.plan', '--html'],
  ['simulate', 'good.plan', '--trace'],
  ['graph', 'good.plan', '--format', 'svg', '--out'],
  ['compile', 'good.plan', '-o'],
];

describe('before the long work', () => {
  it.each([...WRITERS, ['devices', '--calibrate', '-o']].map((args) => [args]))(
    'it is refused: %j',
    async (args) => {
      const before = readdirSync(folder);
      for (const [name, why] of [
        ['absent/x', 'no such file or directory'],
        ['folder', 'illegal operation on a directory'],
      ] as const) {
        const command = args.map((arg) => (arg === 'good.plan' ? at(arg) : arg));
        const run = await runInProcess(...command, at(name));
        // Nothing else is said either: what a command says of its work comes later.
        expect(run).toEqual({ status: 3, out: '', err: `error[FC0940]: cannot write ${at(name)}: ${why}\n` });
      }
      expect(readdirSync(folder)).toEqual(before);
    },
  );
});

describe('a file that is no calibration', () => {
  it('is not written over by one', async () => {
    for (const name of ['good.plan', 'there.txt']) {
      const before = readFileSync(at(name), 'utf8');
      const run = await runInProcess('devices', '--calibrate', '-o', at(name));
      expect(run).toMatchObject({ status: 3, out: '' });
      expect(run.err).toBe(
        `error[FC0940]: cannot write ${at(name)}: it is there already, and is no calibration\n` +
          '  help: give the calibration a name of its own, and `import` its topology into the plan file\n',
      );
      expect(readFileSync(at(name), 'utf8')).toBe(before);
    }
  });
});

/** Begins the report of a file that would be written over, or twice. */
const taken = (name: string, what: string): string =>
  `error[FC0940]: cannot write ${at(name)}: it is the file of ${what}\n`;

describe('a plan file that is read', () => {
  it.each([
    ...WRITERS.map((args) => [args]),
    [['compile', 'good.plan', '--emit', 'syntax', '-o']],
    [['devices', '--calibrate', '--like', 'good.plan', '-o']],
  ])('is not written over: %j', async (args) => {
    rmSync(at('same.plan'), { force: true });
    symlinkSync(at('good.plan'), at('same.plan'));
    for (const name of ['good.plan', 'same.plan']) {
      const command = args.map((arg) => (arg === 'good.plan' ? at(arg) : arg));
      const run = await runInProcess(...command, at(name));
      expect(run).toMatchObject({ status: 3, out: '' });
      expect(run.err.startsWith(taken(name, 'the plan')), run.err).toBe(true);
    }
    expect(readFileSync(at('good.plan'), 'utf8')).toBe(PLAN);
  });

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

describe('what is read beside the plan file', () => {
  const LENGTHS = '{"prompt_tokens": 20, "output_tokens": 8}\n';
  const READ: Readonly<Record<string, string>> = {
    'parts.plan': PLAN.replace(/^plan .*\n/m, 'workload far { requests: "far.jsonl" }\n'),
    'whole.plan': `import { m, far, workstation } from "./parts.plan"
workload near { requests: "near.jsonl" }
plan p for m on workstation { stage serve: prefill + decode on gpu { mesh (tp: 4) } }
`,
    'near.jsonl': LENGTHS,
    'far.jsonl': LENGTHS,
    'own.jsonl': LENGTHS,
  };
  const refuses = async (args: readonly string[], what: string): Promise<void> => {
    for (const [name, text] of Object.entries(READ)) writeFileSync(at(name), text);
    const name = args.at(-1)!;
    const run = await runInProcess(...args.map((arg) => (/[.]/.test(arg) ? at(arg) : arg)));
    expect(run).toMatchObject({ status: 3, out: '' });
    expect(run.err.startsWith(taken(name, what)), run.err).toBe(true);
    for (const [each, text] of Object.entries(READ)) expect(readFileSync(at(each), 'utf8')).toBe(text);
  };
  /** Options of a command, of which the last names a file to write. */
  const COMMANDS = [
    ['simulate', 'whole.plan', '--workload', 'own.jsonl', '--html'],
    ['simulate', 'whole.plan', '--workload', 'own.jsonl', '--trace'],
    ['graph', 'whole.plan', '--workload', 'own.jsonl', '--format', 'svg', '--out'],
  ];
  const COMPILERS = [
    ['compile', 'whole.plan', '-o'],
    ['compile', 'whole.plan', '--emit', 'syntax', '-o'],
    ['devices', '--calibrate', '--like', 'whole.plan', '-o'],
  ];

  it.each([...COMMANDS, ...COMPILERS])('is not written over: %s %s %s %s %s %s %s', async (...args) => {
    const command = args.filter((arg) => arg !== undefined);
    await refuses([...command, 'parts.plan'], 'an import of the plan');
    await refuses([...command, 'near.jsonl'], 'workload near');
    await refuses([...command, 'far.jsonl'], 'workload far');
  });

  it.each(COMMANDS)('is not written over where an option names it: %s %s %s %s %s', async (...args) => {
    const command = args.filter((arg) => arg !== undefined);
    await refuses([...command, 'own.jsonl'], 'the workload');
  });

  it('may be a workload of the name that a file to write has', async () => {
    for (const [name, text] of Object.entries(READ)) writeFileSync(at(name), text);
    const run = await runInProcess('simulate', at('whole.plan'), '--workload', 'near', '--html', at('near'));
    expect(run).toMatchObject({ status: 0 });
  });

  it('is not written over where it is the description of a model', async () => {
    const config = at('model/config.json');
    mkdirSync(at('model'));
    writeFileSync(config, '{}');
    writeFileSync(at('model.plan'), PLAN.replace(/^model .*$/m, 'model m { source: "./model" }'));
    const run = await runInProcess('compile', at('model.plan'), '-o', config);
    expect(run.err.startsWith(taken('model/config.json', 'the model')), run.err).toBe(true);
    expect(readFileSync(config, 'utf8')).toBe('{}');
  });

  it('is not written over where it is the run to compare with', async () => {
    expect(await runInProcess('simulate', at('good.plan'), '--trace', at('run.json'))).toMatchObject({
      status: 0,
    });
    const before = readFileSync(at('run.json'), 'utf8');
    for (const option of ['--trace', '--html']) {
      const run = await runInProcess(
        ...['simulate', at('good.plan'), '--against', at('run.json'), option, at('run.json')],
      );
      expect(run.err.startsWith(taken('run.json', 'the run to compare with')), run.err).toBe(true);
    }
    expect(readFileSync(at('run.json'), 'utf8')).toBe(before);
  });
});

describe('what a run reads beside its plan file', () => {
  it.each([
    ['--overwrite', '--out'],
    ['--out', 'x', '--trace'],
  ])('is not written over: %j', async (...options) => {
    const [lib, whole] = [at('lib.plan'), at('run.plan')];
    const library = 'import { workstation } from "std/local"\n';
    writeFileSync(lib, PLAN.replace(/^plan .*\n/m, ''));
    writeFileSync(whole, `import { m } from "./lib.plan"\n${library}${PLAN.slice(PLAN.indexOf('plan p'))}`);
    writeFileSync(at('requests.jsonl'), '{"custom_id": "a", "body": {"prompt": "x", "max_tokens": 1}}\n');
    const run = await runInProcess(
      ...['run', whole, '--requests', at('requests.jsonl')],
      ...options.map((each) => (each === 'x' ? at(each) : each)),
      lib,
    );
    expect(run).toMatchObject({ status: 3, out: '' });
    expect(run.err.startsWith(taken('lib.plan', 'an import of the plan')), run.err).toBe(true);
  });
});

describe('two reports', () => {
  it('have no file in common, by whatever name', async () => {
    symlinkSync(at('.'), at('again'));
    for (const name of ['x.html', 'again/x.html', './x.html']) {
      const html = `${folder}/${name}`;
      const run = await runInProcess('simulate', at('good.plan'), '--trace', at('x.html'), '--html', html);
      expect(run).toMatchObject({ status: 3, out: '' });
      expect(run.err).toContain(`error[FC0940]: cannot write ${html}: it is the file of another report\n`);
      expect(existsSync(at('x.html'))).toBe(false);
    }
  });

  it.skipIf(!existsSync('/dev/null'))('may both go nowhere', async () => {
    const options = ['--trace', '/dev/null', '--html', '/dev/null'];
    expect(await runInProcess('simulate', at('good.plan'), ...options)).toMatchObject({ status: 0 });
  });
});
