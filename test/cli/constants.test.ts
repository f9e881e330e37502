/** Where the constants of a simulation come from. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { planConstants, type Constant } from '../../cli/explain/constants.js';
import { checkFile } from '../../compiler/check/check-file.js';
import { oneFileHost } from '../../compiler/host.js';
import { memoryHost } from '../compiler/check/memory-host.js';
import { runInProcess } from './run-program.js';

const FILE = `import { l4 } from "std/devices"
device mine { memory: 8 GB, bandwidth: 100 GB/s, compute: { f32: 1 TFLOPS }, sustained: { bandwidth: 70% }, gemm: { 1: 3%, 64: 40% }, kernels: { rms_norm: 30%, decode_attention: 45% }, attention_rows: 16, largest_binding: 1 GB, shared: { 2: 60% }, shared_host: { 2: 30% } }
topology t {
  a[2]: mine
  b[2]: l4
  tier host { capacity: 8 GiB }
  link a <-> b { bandwidth: 4 GB/s, allreduce: { 2: 3 GB/s }, allreduce_latency: { 2: 90 us }, allgather_latency: { 2: 80 us } }
  link a <-> host { bandwidth: 8 GB/s, bandwidth_back: 10 GB/s, weights: 11 GB/s, latency: 9 us }
  overhead { step: 2 ms, request: 0 us, kernel: 5 us, submit: { 1: 60 us, 2: 150 us }, choose: 7 us, encode: 9 us }
}
model m { family: llama, layers: 2, hidden: 64, heads: 4, kv_heads: 4, ffn: 64, vocab: 64, context: 64, weights: f32 }
plan p for m on t { stage serve: prefill + decode on a { mesh (tp: 2) }, flow requests -> serve -> results }
`;

function constants(text = FILE): ReadonlyMap<string, Constant> {
  return new Map(listed(text).map((constant) => [constant.what, constant]));
}

/** @param others files that it imports */
function listed(text: string, others: Readonly<Record<string, string>> = {}): readonly Constant[] {
  const { plans, files } = checkFile(memoryHost({ ...others, 'mine.plan': text }), 'mine.plan');
  const texts = { textOf: (file: string) => files.get(file), nameOf: (file: string) => file };
  return planConstants(plans[0]!, texts);
}

describe('the constants of a simulation', () => {
  it('are declared, with their place', () => {
    const all = constants();
    const at = (line: number): unknown => expect.stringMatching(new RegExp(`^mine\\.plan:${line}:`));
    expect(all.get('mine: bandwidth')).toEqual({
      what: 'mine: bandwidth',
      value: '100 GB/s',
      origin: 'declared',
      at: at(2),
    });
    expect(all.get('mine: gemm')).toMatchObject({ value: '1: 3%, 64: 40%', origin: 'declared' });
    expect(all.get('mine: kernels')).toMatchObject({
      value: 'rms_norm: 30%, decode_attention: 45%',
      origin: 'declared',
    });
    expect(all.get('a <-> b: allreduce_latency')).toMatchObject({ value: '2: 90 us', origin: 'declared' });
    expect(all.get('a <-> b: allgather_latency')).toMatchObject({ value: '2: 80 us', origin: 'declared' });
    expect(all.get('a <-> host: weights')).toMatchObject({ value: '11 GB/s', origin: 'declared' });
    expect(all.get('a <-> host: bandwidth_back')).toMatchObject({ value: '10 GB/s', origin: 'declared' });
    expect(all.get('t: overhead choose')).toMatchObject({ value: '7 us', origin: 'declared' });
    expect(all.get('t: overhead encode')).toMatchObject({ value: '9 us', origin: 'declared' });
    expect(all.get('t: overhead submit')).toMatchObject({ value: '1: 60 us, 2: 150 us', origin: 'declared' });
    expect(all.get('mine: attention_rows')).toMatchObject({ value: '16', origin: 'declared' });
    expect(all.get('mine: largest_binding')).toMatchObject({ value: '1 GB', origin: 'declared' });
    expect(all.get('mine: shared')).toMatchObject({ value: '2: 60%', origin: 'declared' });
    expect(all.get('mine: shared_host')).toMatchObject({ value: '2: 30%', origin: 'declared' });
    expect(all.get('mine: sustained bandwidth')).toMatchObject({ value: '70%', origin: 'declared' });
    expect(all.get('a <-> host: latency')).toMatchObject({ value: '9 us', origin: 'declared', at: at(8) });
    expect(all.get('host: capacity')).toMatchObject({ value: '8 GiB', origin: 'declared', at: at(6) });
    expect(all.get('p: memory_use')).toMatchObject({ value: '90%', origin: 'default' });
    expect(all.get('a <-> b: allreduce')).toMatchObject({
      value: '2: 3 GB/s',
      origin: 'declared',
      at: at(7),
    });
    expect(all.get('t: overhead request')).toMatchObject({ value: '0 s', origin: 'declared', at: at(9) });
    expect(all.get('t: overhead kernel')).toMatchObject({ value: '5 us', origin: 'declared', at: at(9) });
  });

  it('say where the property is written, and where the declaration is that lacks it', () => {
    const all = constants(FILE.replace('plan p for m on t {', '$& memory_use: 80%,'));
    const lines = FILE.split('\n');
    const place = (line: number, text: string): string =>
      `mine.plan:${line}:${lines[line - 1]!.indexOf(text) + 1}`;
    expect(all.get('mine: bandwidth')!.at).toBe(place(2, '100 GB/s'));
    expect(all.get('mine: compute f32')!.at).toBe(place(2, '{ f32'));
    expect(all.get('mine: sustained bandwidth')!.at).toBe(place(2, '{ bandwidth'));
    expect(all.get('mine: sustained compute')!.at).toBe(place(2, 'mine'));
    expect(all.get('host: capacity')!.at).toBe(place(6, '8 GiB'));
    expect(all.get('a <-> host: latency')!.at).toBe(place(8, '9 us'));
    expect(all.get('a <-> b: latency')!.at).toBe(place(7, 'a <-> b'));
    expect(all.get('t: overhead kernel')!.at).toBe(place(9, '5 us'));
    expect(all.get('t: overhead layer')!.at).toBe(place(9, 'overhead'));
    expect(all.get('p: memory_use')!.at).toBe(
      `mine.plan:12:${'plan p for m on t { memory_use: '.length + 1}`,
    );
  });

  it('are refused where they mean nothing: one device shares with none, and none is faster for it', () => {
    for (const shared of ['{ 1: 60% }', '{ 2: 120% }', '{ few: 60% }']) {
      const text = FILE.replace('shared: { 2: 60% }', `shared: ${shared}`);
      const { diagnostics } = checkFile(oneFileHost('mine.plan', text), 'mine.plan');
      expect(diagnostics.filter(({ severity }) => severity === 'error').length, shared).toBeGreaterThan(0);
    }
  });

  it('know kernels by the names that the runtime graph has', () => {
    const wrong = FILE.replace('rms_norm: 30%', 'matmul: 30%');
    const { diagnostics } = checkFile(oneFileHost('mine.plan', wrong), 'mine.plan');
    expect(diagnostics.map(({ message }) => message).join()).toContain('matmul');
  });

  it('are shipped, with the source that the library gives', () => {
    const memory = constants().get('l4: memory')!;
    expect(memory).toMatchObject({ value: '24 GB', origin: 'shipped' });
    expect(memory.at).toMatch(/^std\/devices:\d+:/);
    expect(memory.source).toMatch(/Datasheet/);
    const sustained = constants().get('l4: sustained compute')!;
    expect(sustained.source).toMatch(/Datasheet.* measured/);
  });

  it('have the comment on a shipped topology as their source where there is none of their own', () => {
    const model = FILE.match(/^model .*$/m)![0];
    const stage = 'stage serve: prefill + decode on gpu[0..3] { mesh (tp: 4) }';
    const all = constants(
      `import { g5_48xlarge as box } from "std/aws"\n${model}\nplan p for m on box { ${stage}, flow requests -> serve -> results }\n`,
    );
    for (const what of ['gpu <-> gpu: allreduce', 'host <-> nvme: bandwidth', 'nvme: capacity'])
      expect(all.get(what), what).toMatchObject({
        origin: 'shipped',
        source: expect.stringMatching(/^g5/) as string,
      });
    expect(all.get('gpu <-> host: bandwidth')!.source).toMatch(/^12\.1 to 12\.4/);
    expect(all.get('g5_48xlarge: overhead layer')!.source).toMatch(/BLIS/);
    for (const { what, origin, source } of all.values())
      if (origin === 'shipped') expect(source, what).toBeDefined();
  });

  it('say of every shipped device where the parts of its peaks come from that kernels reach', () => {
    const library = readFileSync('plans/std/devices.plan', 'utf8');
    const names = [...library.matchAll(/^device (\w+)/gm)].map(([, name]) => name!);
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) {
      const all = constants(FILE.replaceAll('l4', name));
      for (const part of ['compute', 'bandwidth'])
        expect(all.get(`${name}: sustained ${part}`)!.source, name).toMatch(
          /measured|assumed|aiconfigurator|reach|As the 40 GB card/i,
        );
    }
  });

  it('are defaults where the declaration says nothing', () => {
    const all = constants();
    expect(all.get('mine: sustained compute')).toMatchObject({ value: '50%', origin: 'default' });
    expect(all.get('p: prompts that end in a step')).toMatchObject({
      value: '64 at most',
      origin: 'default',
    });
    expect(all.get('p: KV of prefill on its way out')!.value).toBe('of 2 microbatches at most');
    expect(all.get('p: KV of decode beside the batch')!.value).toBe('of 25% more requests at most');
    expect(all.get('l4: gemm')).toMatchObject({ origin: 'default' });
    expect(all.get('l4: kernels')).toMatchObject({ origin: 'default' });
    expect(all.get('a <-> host: allreduce_latency')).toMatchObject({ origin: 'default' });
    expect(all.get('a <-> host: allgather_latency')).toMatchObject({ origin: 'default' });
    expect(all.get('a <-> b: weights')).toMatchObject({ value: 'as other bytes', origin: 'default' });
    expect(all.get('a <-> b: bandwidth_back')).toMatchObject({ value: 'as `bandwidth`', origin: 'default' });
    expect(all.get('t: overhead read')).toMatchObject({ value: '0 s', origin: 'default' });
    expect(all.get('l4: attention_rows')).toMatchObject({ origin: 'default' });
    expect(all.get('l4: largest_binding')).toMatchObject({ value: '1.5 GB', origin: 'default' });
    expect(all.get('l4: shared_host')).toMatchObject({ origin: 'default' });
    expect(all.get('l4: shared')).toMatchObject({ origin: 'default' });
    expect(all.get('a <-> b: latency')).toMatchObject({ value: '0 s', origin: 'default' });
    expect(all.get('a <-> host: allreduce')).toMatchObject({ origin: 'default' });
    expect(all.get('t: overhead layer')).toMatchObject({ value: '0 s', origin: 'default' });
    expect(all.get('t: overhead copy_engines')).toMatchObject({ value: 'false', origin: 'default' });
    expect(all.get('t: overhead activations')).toMatchObject({ value: 'f32', origin: 'default' });
  });

  it('tell kinds of devices apart that are declared by the same name', () => {
    const far = 'device mine { memory: 9 GB, bandwidth: 200 GB/s, compute: { f32: 2 TFLOPS } }\n';
    const text = `import { mine as far } from "far.plan"\n${FILE.replace('b[2]: l4', 'b[2]: far')}`;
    const all = listed(text, { 'far.plan': far });
    expect(all.find(({ what }) => what === 'mine: memory')).toMatchObject({ value: '8 GB' });
    expect(all.find(({ what }) => what === 'far: memory')).toMatchObject({
      value: '9 GB',
      at: expect.stringMatching(/^far\.plan:1:/) as string,
    });
  });

  it('say which figures of exchanges none goes by, on a link that joins no devices with devices', () => {
    const figures = 'allreduce: { 2: 1 MB/s }, allreduce_latency: { 2: 1 s }, allgather_latency: { 2: 1 s }';
    const text = FILE.replace('latency: 9 us', `latency: 9 us, ${figures}`);
    const all = constants(text);
    const unused = (value: string): object => ({
      value: `${value}, not used: it joins no devices with devices`,
      origin: 'declared',
    });
    expect(all.get('a <-> host: allreduce')).toMatchObject(unused('2: 1 MB/s'));
    expect(all.get('a <-> host: allreduce_latency')).toMatchObject(unused('2: 1 s'));
    expect(all.get('a <-> host: allgather_latency')).toMatchObject(unused('2: 1 s'));
    expect(all.get('a <-> b: allreduce')).toMatchObject({ value: '2: 3 GB/s' });
  });

  it('say whose speed stands in for that of a type, and which speeds nothing is computed at', () => {
    const of = (compute: string): ReadonlyMap<string, Constant> =>
      constants(FILE.replace('compute: { f32: 1 TFLOPS }', `compute: { ${compute} }`));
    const narrow = of('f16: 2 TFLOPS, int8: 4 TFLOPS');
    expect(narrow.get('mine: compute f16')).toMatchObject({ value: '2 TFLOPS', origin: 'declared' });
    for (const type of ['f32', 'bf16'])
      expect(narrow.get(`mine: compute ${type}`)).toMatchObject({ value: 'as f16', origin: 'default' });
    expect(narrow.get('mine: compute int8')).toMatchObject({
      value: '4 TFLOPS, not used: nothing is computed in it',
      origin: 'declared',
    });
    const wide = of('f32: 1 TFLOPS');
    expect(wide.get('mine: compute f16')).toMatchObject({ value: 'as f32', origin: 'default' });
    // Nothing else has a speed.
    expect(of('fp8: 4 TFLOPS').get('mine: compute fp8')).toMatchObject({ value: '4 TFLOPS' });
  });

  it('have the caps of KV tiers, in each instance and in all together', () => {
    const [device, model] = [FILE.match(/^device .*$/m)![0], FILE.match(/^model .*$/m)![0]];
    const machine = `topology t {
  node[2] {
    gpu: mine
    tier host { capacity: 8 GiB }
    tier nvme { capacity: 9 GB, path: "/x" }
    link gpu <-> host { bandwidth: 8 GB/s }
    link host <-> nvme { bandwidth: 1 GB/s }
  }
}`;
    const stage = 'stage serve: prefill + decode on node.gpu { mesh (dp: 2) }';
    const text = `${device}\n${model}\n${machine}\nplan p for m on t { ${stage}, flow requests -> serve -> results }\n`;
    const at = expect.stringMatching(/^mine\.plan:12:/) as string;
    const all = constants(text.replace('flow', 'kv { tiers: gpu -> host up to 1 GB -> nvme }, flow'));
    expect(all.get('p: KV in host at most')).toMatchObject({
      value: '1 GB in each of 2, 2 GB in all',
      origin: 'declared',
      at,
    });
    expect(all.get('p: KV in nvme at most')).toMatchObject({
      value: '9 GB in each of 2, 18 GB in all',
      origin: 'default',
      at,
    });
    expect(constants(text).get('p: KV in host at most')).toMatchObject({
      value: '8 GiB in each of 2, 16 GiB in all',
      origin: 'default',
    });
    const binary = constants(text.replace('flow', 'kv { tiers: gpu -> host up to 4 GiB }, flow'));
    expect(binary.get('p: KV in host at most')!.value).toBe('4 GiB in each of 2, 8 GiB in all');
    // Decode puts nothing out that is counted.
    const apart =
      'stage prefill on node[0].gpu { mesh (dp: 1) }\nstage decode on node[1].gpu { mesh (dp: 1) }';
    const linked = text.replace(machine, machine.replace(/}$/, 'link node <-> node { bandwidth: 1 GB/s } }'));
    const handed = linked.replace(stage, apart).replace('-> serve', '-> prefill -> decode');
    const one = constants(handed.replace('flow', 'kv { tiers: gpu -> host up to 4 GiB -> nvme }, flow'));
    expect(one.get('p: KV in host at most')!.value).toBe('4 GiB');
    expect(one.get('p: KV in nvme at most')!.value).toBe('9 GB');
  });

  it('have a name each, with the groups that they are of', () => {
    const nodes = (name: string, rate: string): string =>
      `${name}[2] { gpu[2]: mine, tier host { capacity: 8 GiB }, link gpu <-> gpu { bandwidth: ${rate} } }`;
    const text = FILE.replace('a[2]: mine', `a[2]: mine\n${nodes('x', '1 GB/s')}\n${nodes('y', '2 GB/s')}`);
    const all = listed(text);
    const names = all.map(({ what }) => what);
    expect(new Set(names).size).toBe(names.length);
    const valueOf = (what: string): unknown => all.find((each) => each.what === what)?.value;
    expect(valueOf('x[*]: gpu <-> gpu: bandwidth')).toBe('1 GB/s');
    expect(valueOf('y[*]: gpu <-> gpu: bandwidth')).toBe('2 GB/s');
    expect(valueOf('y[*]: host: capacity')).toBe('8 GiB');
  });

  it('are listed by explain, shipped sources once', async () => {
    const run = await runInProcess('explain', 'plans/seesaw-70b.plan', '--plan', 'seesaw');
    expect(run.status).toBe(0);
    expect(run.out).toMatch(/l4: bandwidth +300 GB\/s +shipped, std\/devices:\d+/);
    expect(run.out).toMatch(/gpu <-> host: bandwidth +12 GB\/s +plans\/seesaw-70b\.plan:\d+/);
    expect(run.out.match(/source of l4: memory/g)).toHaveLength(1);
  });
});
