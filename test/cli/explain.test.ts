/** `explain`: what a code means, and what the compiler decided about a plan. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeCode, findCode, knownCodes } from '../../cli/explain/codes.js';
import { CATALOGUE } from '../../compiler/diagnostics/catalogue.js';
import { syntaxCodes } from '../../grammar/syntax-problems.js';
import { FAILURE_CODES } from '../../runtime/failure-codes.js';
import { runInProcess } from './run-program.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'fulcrum-explain-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('codes', () => {
  it('are all known, each once, each with a slug of its own', () => {
    const codes = knownCodes();
    const all = [
      ...Object.keys(syntaxCodes),
      ...Object.values(CATALOGUE).map((entry) => entry.code),
      ...Object.keys(FAILURE_CODES),
    ];
    expect(codes.map(({ code }) => code)).toEqual(all.sort());
    expect(new Set(all).size).toBe(all.length);
    expect(new Set(codes.map(({ slug }) => slug)).size).toBe(codes.length);
  });

  it('are the ones that the sources may print', () => {
    const known = new Set(knownCodes().map(({ code }) => code));
    const used = ['grammar', 'compiler', 'runtime', 'cli'].flatMap((root) =>
      readdirSync(root, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .flatMap((name) => readFileSync(join(root, name), 'utf8').match(/'FC\d{4}'/g) ?? []),
    );
    expect(used.length).toBeGreaterThan(50);
    expect(used.map((text) => text.slice(1, -1)).filter((code) => !known.has(code))).toEqual([]);
  });

  it('have a message without holes and a field', () => {
    for (const entry of knownCodes()) {
      expect(entry.message.length).toBeGreaterThan(10);
      expect(describeCode(entry)).not.toMatch(/undefined|NaN|\[object|function|=>/);
      expect(entry.field).not.toBe('');
    }
  });

  it('are found by number, by slug and in any case', () => {
    expect(findCode('FC0503')?.slug).toBe('dim-not-divisible');
    for (const name of ['fc0503', '0503', '503', 'dim-not-divisible'])
      expect(findCode(name)).toEqual(findCode('FC0503'));
    expect(findCode('FC0599')).toBeUndefined();
  });

  it('are explained on the command line', async () => {
    const run = await runInProcess('explain', 'FC0503');
    expect(run).toMatchObject({ status: 0, err: '' });
    expect(run.out).toMatch(
      /^error\[FC0503\] dim-not-divisible\n\n {2}`<dim>` \(<size>\) cannot be split over/,
    );
    expect(run.out).toMatch(/^Sharding: /m);
    expect((await runInProcess('explain', 'FC0916')).out).toMatch('The request file cannot be read');
    const document = JSON.parse((await runInProcess('explain', 'FC0101', '--json')).out) as object;
    expect(document).toMatchObject({ command: 'explain', code: 'FC0101', slug: 'unexpected-token' });
    const unknown = await runInProcess('explain', 'FC0599');
    expect(unknown).toMatchObject({ status: 2, out: '' });
    expect(unknown.err).toMatch('there is no code FC0599');
  });

  it.each([
    ['--plan', 'p'],
    ['--set', 'a=1'],
    ['--op', '3'],
  ])('takes no %s for a code', async (option, value) => {
    const refused = await runInProcess('explain', 'FC0503', option, value);
    const err = `error: ${option} is about a plan file, and FC0503 is a code\n`;
    expect(refused).toEqual({ status: 2, out: '', err });
  });
});

describe('explain FILE', () => {
  it('says what was decided about a re-sharded plan and why', async () => {
    const run = await runInProcess('explain', 'plans/clerk.plan', '--plan', 'reshard');
    expect(run).toMatchObject({ status: 0, err: '' });
    const has = (pattern: RegExp): void => expect(run.out).toMatch(pattern);
    has(/^plan reshard: model clerk on workstation$/m);
    has(/stage prefill .* 4 devices, mesh \(pp: 4\)/);
    has(/pp 0 {2}embed, layers 0 to 1/);
    has(/pp 3 {2}layers 6 to 7, head/);
    has(/no collectives: no rank holds a part of a value/);
    has(/stage decode .* mesh \(tp: 4\)/);
    has(/heads, kv_heads, ffn and vocab split 4 ways/);
    has(/2 collectives in each of layers 0 to 7/);
    has(/all_reduce of o over tp: /);
    has(/prefill -> decode: re-sharded: .*same devices/);
    has(/lower bound/);
    has(/KV: through host/);
    has(/prefill\.layers = \[2, 2, 2, 2\]: as even as possible/);
    has(/memory_use = 90%: /);
    has(/to decode when host\.full or requests\.empty/);
    has(/^ +device +weights +workspace +KV +peak +may use$/m);
  });

  it('tells static, disaggregated and fused plans apart', async () => {
    const of = async (plan: string): Promise<string> =>
      (await runInProcess('explain', 'plans/clerk.plan', '--plan', plan)).out;
    expect(await of('tensor')).toMatch(/prefill -> decode: static: .* no weights move/);
    expect(await of('split')).toMatch(/prefill -> decode: disaggregated: .*devices of their own/);
    expect(await of('single')).toMatch(/serve: fused: .*both phases/);
  });

  it('covers every plan of a file, also as one document', async () => {
    const run = await runInProcess('explain', 'plans/clerk.plan');
    expect(run.out.match(/^plan \w+: /gm)).toHaveLength(7);
    const json = await runInProcess('explain', 'plans/clerk.plan', '--plan', 'reshard', '--json');
    const document = JSON.parse(json.out) as { plans: { plan: string; defaults: { what: string }[] }[] };
    expect(document).toMatchObject({ command: 'explain', plans: [{ plan: 'reshard' }] });
    expect(document.plans[0]!.defaults.map(({ what }) => what)).toContain('memory_use');
  });

  it('reports the problems of an unsound plan', async () => {
    const path = join(folder, 'bad.plan');
    const text = readFileSync('plans/clerk.plan', 'utf8').replace('mesh (tp: 4)', 'mesh (tp: 3)');
    writeFileSync(path, text.replace('./models', join(process.cwd(), 'plans/models')));
    const run = await runInProcess('explain', path, '--plan', 'reshard');
    expect(run).toMatchObject({ status: 1, out: '' });
    expect(run.err).toMatch(/bad\.plan:\d+:\d+: error\[FC0\d{3}\]/);
  });
});
