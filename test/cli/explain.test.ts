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

  it('says how much room there is for KV, in tiers what the weights leave of them', async () => {
    const path = join(folder, 'room.plan');
    const text = `device d { memory: 1 GB, bandwidth: 100 GB/s, compute: { f32: 1 TFLOPS } }
topology t { gpu[2]: d, tier host { capacity: 20 MB }, link gpu <-> gpu { bandwidth: 9 GB/s }, link gpu <-> host { bandwidth: 9 GB/s } }
model m { family: llama, layers: 2, hidden: 512, heads: 4, kv_heads: 4, ffn: 512, vocab: 64, context: 64, weights: f32 }
plan p for m on t {
  residence: switch
  stage prefill on gpu { mesh (pp: 2) }
  stage decode on gpu { mesh (tp: 2) }
  flow requests -> prefill -> decode -> results
}
`;
    writeFileSync(path, text);
    const [run, json] = [await runInProcess('explain', path), await runInProcess('explain', path, '--json')];
    expect(run.out).toMatch(/ {2}room for KV\n +place +pages +tokens +bytes\n +devices of prefill/);
    const [plan] = (JSON.parse(json.out) as { plans: { kvRoom: readonly Record<string, unknown>[] }[] })
      .plans;
    // A page: 2 layers x 512 columns x 16 tokens x K and V x 4 bytes. Transitions need a copy of the weights.
    const pageBytes = 2 * 512 * 16 * 2 * 4;
    const weights = 4 * (2 * (4 * 512 * 512 + 3 * 512 * 512 + 2 * 512) + 2 * 64 * 512 + 512);
    const pages = Math.floor((20e6 - weights) / pageBytes);
    expect(plan!.kvRoom).toContainEqual({
      place: 'host',
      pages,
      tokens: 16 * pages,
      bytes: pageBytes * pages,
    });
    expect(run.out).toMatch(/p: KV in host at most +20 MB +default/);
    expect(run.out).toContain('a step carries at most 64 tokens and samples for at most 64 requests');
  });

  it.each([
    { disk: 0.1, takes: false },
    { disk: 100, takes: true },
  ])('says that a disk takes nothing from which loads are slower than prefill ($disk GB/s)', async (each) => {
    const path = join(folder, 'disk.plan');
    const text = `device d { memory: 1 GB, bandwidth: 100 GB/s, compute: { f32: 1 TFLOPS } }
topology t { gpu[2]: d, tier host { capacity: 20 MB }, tier nvme { capacity: 1 GB, path: "/kv" }, link gpu <-> gpu { bandwidth: 9 GB/s }, link gpu <-> host { bandwidth: 90 GB/s }, link host <-> nvme { bandwidth: ${each.disk} GB/s } }
model m { family: llama, layers: 2, hidden: 512, heads: 4, kv_heads: 4, ffn: 512, vocab: 64, context: 64, weights: f32 }
workload w { requests: 4, prompt: 30 tokens, output: 8 tokens }
plan p for m on t {
  residence: switch
  stage prefill on gpu { mesh (pp: 2) }
  stage decode on gpu { mesh (tp: 2) }
  kv { tiers: gpu -> host -> nvme }
  flow requests -> prefill -> decode -> results
}
`;
    writeFileSync(path, text);
    const [run, json] = [await runInProcess('explain', path), await runInProcess('explain', path, '--json')];
    const simulated = await runInProcess('simulate', path);
    const said =
      /nvme takes nothing: loading a page from there takes [^,]+ [mu]s, computing it again [^,]+ us$/m;
    expect([run, simulated].map(({ out }) => said.test(out))).toEqual([!each.takes, !each.takes]);
    const { passedOver } = (
      JSON.parse(json.out) as { plans: { passedOver?: { tier: string; load: number; compute: number } }[] }
    ).plans[0]!;
    expect(passedOver?.tier).toBe(each.takes ? undefined : 'nvme');
    if (passedOver !== undefined) expect(passedOver.load).toBeGreaterThan(passedOver.compute);
  });

  it.each([
    { disk: 0.2, explained: 64, simulated: 30 },
    { disk: 0.4, explained: undefined, simulated: 30 },
    { disk: 0.6, explained: undefined, simulated: undefined },
    { disk: 0.2, capacity: '1 KB', explained: undefined, simulated: undefined },
  ])('asks of sequences where all layers see a window alone ($disk GB/s, $capacity)', async (each) => {
    const path = join(folder, 'sliding.plan');
    const text = `device d { memory: 1 GB, bandwidth: 100 GB/s, compute: { f32: 1 TFLOPS } }
topology t { gpu[2]: d, tier host { capacity: 1 MB }, tier nvme { capacity: ${each.capacity ?? '1 GB'}, path: "/kv" }, link gpu <-> gpu { bandwidth: 9 GB/s }, link gpu <-> host { bandwidth: 90 GB/s }, link host <-> nvme { bandwidth: ${each.disk} GB/s } }
model m { family: mistral, layers: 2, hidden: 512, heads: 4, kv_heads: 4, ffn: 512, vocab: 64, context: 64, weights: f32, window: 8 }
workload w { requests: 40, prompt: 30 tokens, output: 8 tokens }
plan p for m on t {
  residence: switch
  stage prefill on gpu { mesh (pp: 2) }
  stage decode on gpu { mesh (tp: 2), batch: 2 requests }
  kv { tiers: gpu -> host -> nvme }
  flow requests -> prefill -> decode -> results
}
`;
    writeFileSync(path, text);
    interface Said {
      readonly passedOver?: { readonly tokens?: number };
      readonly bytes?: { readonly kvSpilled: number };
    }
    const [explained, simulated] = await Promise.all(
      ['explain', 'simulate'].map(async (command) => {
        const { plans } = JSON.parse((await runInProcess(command, path, '--json')).out) as { plans: Said[] };
        return plans[0]!;
      }),
    );
    expect(explained?.passedOver?.tokens).toBe(each.explained);
    expect(simulated?.passedOver?.tokens).toBe(each.simulated);
    const spills = each.simulated === undefined && each.capacity === undefined;
    expect(simulated!.bytes!.kvSpilled > 0).toBe(spills);
    const { out } = await runInProcess('simulate', path);
    expect(/nvme takes nothing: loading a sequence of 30 tokens from there takes/.test(out)).toBe(
      each.simulated !== undefined,
    );
  });

  it('says where the largest binding of a device caps the room for KV, as check does', async () => {
    const path = join(folder, 'capped.plan');
    const text = `import { llama3_8b } from "std/models"
import { p5_48xlarge } from "std/aws"
plan p for llama3_8b on p5_48xlarge { stage serve: prefill + decode on gpu { mesh (pp: 8), batch: 2048 requests } }
`;
    writeFileSync(path, text);
    const said =
      /KV of serve is capped by `largest_binding` of h100, 2\.00 GiB, not by memory: 56\.\d GiB or more/;
    for (const command of ['check', 'explain']) expect((await runInProcess(command, path)).out).toMatch(said);
    const own = join(folder, 'uncapped.plan');
    const device = readFileSync('plans/std/devices.plan', 'utf8').match(/^device h100 \{[^}]*\}[^}]*\}/m)![0];
    const wide = device.replace('device h100 {', 'device h100 {\n  largest_binding: 80 GB');
    const machine = `topology t { gpu[8]: h100, tier host { capacity: 1 TB }, link gpu <-> gpu { bandwidth: 300 GB/s }, link gpu <-> host { bandwidth: 20 GB/s } }`;
    const rest = text
      .split('\n')
      .filter((line) => !line.includes('std/aws'))
      .join('\n');
    writeFileSync(
      own,
      `${rest.replace('\nplan', `\n${wide}\n${machine}\nplan`).replace('p5_48xlarge', 't')}`,
    );
    const run = await runInProcess('check', own);
    expect(run.out).toMatch(/gpu\[0\] .* (5|6)\d\.\d GiB +67\.1 GiB/);
    expect(run.out).not.toContain('largest_binding');
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
