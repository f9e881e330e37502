/** What `--json` prints of a command that fails: why, for a machine, where the results would be. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runInProcess } from './run-program.js';

vi.mock('../../runtime/device/dawn-instance.js', () => ({ listAdapters: () => Promise.resolve([]) }));
vi.mock('../../runtime/device/dawn.js', () => ({
  openDevices: () => Promise.reject(new Error('a device was opened')),
}));

const HEAD = `import { workstation } from "std/local"
model m { layers: 2, hidden: 64, heads: 8, kv_heads: 4, ffn: 96, vocab: 100, context: 128, weights: f32 }
workload w { requests: 6, prompt: 20 tokens, output: 8 tokens }
`;
const SERVE = 'stage serve: prefill + decode on gpu';

let folder = '';
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fulcrum-failed-'));
  writeFileSync(at('bad.plan'), `${HEAD}plan p for m on workstation { ${SERVE} { mesh (tp: 3) } }\n`);
  writeFileSync(at('good.plan'), `${HEAD}plan p for m on workstation { ${SERVE} { mesh (tp: 4) } }\n`);
  writeFileSync(at('q.plan'), `${HEAD}plan q for m on workstation { ${SERVE} { mesh (tp: 4) } }\n`);
  writeFileSync(
    at('late.plan'),
    `${HEAD}plan p for m on workstation { ${SERVE} { mesh (tp: 4) } expect { time <= 1 us for w } }\n`,
  );
  writeFileSync(at('requests.jsonl'), '');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Json = Record<string, unknown>;

async function documentOf(...args: readonly string[]): Promise<{ status: number; document: Json }> {
  const { status, out } = await runInProcess(...args, '--json');
  return { status, document: JSON.parse(out) as Json };
}

const versionOf = (command: string): number => (command === 'tune' ? 2 : 1);

const run = (plan: string): readonly string[] => ['run', at(plan), '--out', at('out.jsonl')];

describe('the document of a command that fails', () => {
  it.each([
    ['check', () => ['check', at('bad.plan')]],
    ['simulate', () => ['simulate', at('bad.plan')]],
    ['tune', () => ['tune', at('bad.plan')]],
    ['explain', () => ['explain', at('bad.plan')]],
    ['diff', () => ['diff', at('good.plan'), at('bad.plan')]],
    ['run', () => [...run('bad.plan'), '--requests', at('requests.jsonl')]],
  ])('has the diagnostics of a plan file: %s', async (command, args) => {
    const { status, document } = await documentOf(...args());
    expect(status).toBe(1);
    const { files = [document], ...head } = document as Json & { files?: readonly Json[] };
    expect(head).toMatchObject({ command, version: versionOf(command), ok: false });
    expect(files).toMatchObject([
      {
        diagnostics: [
          { code: 'FC0405', slug: 'mesh-size', severity: 'error', primary: { start: { line: 4 } } },
        ],
      },
    ]);
    expect(document).not.toHaveProperty('failure');
  });

  it('has the failure of a run', async () => {
    const { status, document } = await documentOf(...run('good.plan'), '--requests', at('absent.jsonl'));
    expect(status).toBe(3);
    expect(document).toMatchObject({ command: 'run', version: 1, ok: false, diagnostics: [] });
    expect(document['failure']).toEqual({
      code: 'FC0916',
      slug: 'requests-unreadable',
      message: expect.stringContaining('no such file') as string,
      subject: at('absent.jsonl'),
    });
  });

  it('has the failure to write a report, and to read a trace', async () => {
    const html = await documentOf('simulate', at('good.plan'), '--html', folder);
    expect(html).toMatchObject({
      status: 3,
      document: {
        failure: {
          code: 'FC0940',
          slug: 'report-unwritable',
          subject: folder,
          message: expect.stringContaining('cannot write') as string,
        },
      },
    });
    for (const name of ['absent.json', 'good.plan']) {
      const { status, document } = await documentOf('simulate', at('good.plan'), '--against', at(name));
      expect(status).toBe(3);
      expect(document).toMatchObject({
        failure: { code: 'FC0923', slug: 'lengths-unreadable', subject: at(name) },
      });
    }
  });

  it.each([[['devices']], [['devices', '--calibrate']]])(
    'says that there is no adapter, whatever is asked of it: %j',
    async (args) => {
      const { status, document } = await documentOf(...args);
      expect(status).toBe(3);
      expect(document).toEqual({
        command: 'devices',
        version: 1,
        ok: false,
        diagnostics: [],
        failure: { message: expect.stringContaining('No WebGPU adapter') as string },
      });
    },
  );

  it('has diagnostics beside results where there are any', async () => {
    const { status, document } = await documentOf('simulate', at('late.plan'));
    expect(status).toBe(0);
    expect(document).not.toHaveProperty('ok');
    expect(document).toMatchObject({ plans: [{ plan: 'p' }], diagnostics: [{ slug: 'time-not-met' }] });
  });

  it.each(['simulate', 'explain', 'tune', 'diff', 'run'])(
    'has the plan that the file does not declare: %s',
    async (command) => {
      const more = {
        run: ['--out', at('out.jsonl'), '--requests', at('requests.jsonl')],
        diff: ['--plan', 'p'],
      };
      const options = more[command as keyof typeof more] ?? [];
      const { status, document } = await documentOf(command, at('good.plan'), ...options, '--plan', 'q');
      expect(status).toBe(2);
      expect(document).toMatchObject({
        command,
        version: versionOf(command),
        ok: false,
        diagnostics: [{ code: 'FC0209', slug: 'unknown-plan', data: { plan: 'q' }, helps: ['it has p'] }],
      });
      expect(document).not.toHaveProperty('failure');
    },
  );

  it('says what is asked for and not there', async () => {
    for (const [args, message] of [
      [['explain', 'FC9999'], 'there is no code FC9999'],
      [['explain', `${at('good.plan')}:99`], 'has no line 99'],
      [['explain', at('good.plan'), '--op', 'no.1'], 'no plan has an op no.1'],
      [['simulate', at('good.plan'), '--workload', 'v'], 'has no workload v'],
      [['diff', at('good.plan'), '--plan', 'p'], 'two plans of one file are named'],
    ] as const) {
      const { status, document } = await documentOf(...args);
      expect(status).toBe(2);
      expect(document).toMatchObject({
        ok: false,
        diagnostics: [],
        failure: { message: expect.stringContaining(message) as string },
      });
    }
  });

  it('has, beside the results of a check, why a trace is not judged', async () => {
    const trace = at('trace.json');
    expect(await runInProcess('simulate', at('good.plan'), '--trace', trace)).toMatchObject({ status: 0 });
    const { status, document } = await documentOf('check', at('q.plan'), '--trace', trace);
    expect(status).toBe(2);
    expect(document).toMatchObject({ ok: false, files: [{ plans: [{ plan: 'q' }], diagnostics: [] }] });
    expect(document['failure']).toEqual({
      message: `${trace} is a run of plan p: choose one of the file with --plan (q)`,
    });
    const another = await documentOf('check', at('q.plan'), '--trace', at('good.plan'));
    expect(another).toMatchObject({ status: 3, document: { ok: false, failure: { code: 'FC0924' } } });
  });

  it('is left out where the command line cannot be read', async () => {
    expect(await runInProcess('simulate', at('good.plan'), '--jsonn', '--json')).toMatchObject({
      status: 2,
      out: '',
    });
  });
});
