/** `fulcrum diff` names what is no figure: what a plan says of its layout, and parts of machines by other names. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { diffs, folder, planFile } from './diff-support.js';
import { runInProcess } from './run-program.js';

afterAll(() => rmSync(folder, { recursive: true }));

describe('diff', () => {
  describe('of a flow in turns', () => {
    const turns = (
      name: string,
      more = '',
      rules = 'to b when host.full, to a when host.used < 20%',
    ): string => {
      const stages = `stage a: prefill on gpu { mesh (pp: 4) }, stage b: decode on gpu { mesh (tp: 4) }`;
      const plan = `plan t for m on workstation { ${stages}, flow requests -> a -> b -> results { ${rules} }${more === '' ? '' : `, ${more}`} }`;
      return planFile(name, '(tp: 4)', plan);
    };
    const layoutOf = async (...files: string[]) => {
      const [diff] = (await diffs(...files, '--plan', 't')).all;
      const lines = diff!.changes.filter(({ group }) => group === 'layout');
      return lines.map(({ name, before, after }) => [name, before, after]);
    };
    const plain = turns('turns-plain.plan');

    it.each([
      [
        'rules',
        ['', 'to b when host.used > 40% or requests.empty, to a when host.used < 20%'],
        [['flow: to b', 'when host.full', 'when host.used > 40% or requests.empty']],
      ],
      ['page', ['kv { page: 32 tokens }'], [['KV: tokens of a page', 16, 32]]],
      ['type', ['kv { dtype: f16 }'], [['KV: type', 'f32', 'f16']]],
      [
        'cap',
        ['kv { tiers: gpu -> host up to 1 GiB }'],
        [['KV: tiers', 'gpu -> host', 'gpu -> host up to 1 GiB']],
      ],
      ['residence', ['residence: switch'], [['residence', 'auto: weights stay together', 'switch']]],
    ] as const)('tells another %s', async (what, [more, rules], lines) => {
      const other = turns(`turns-${what}.plan`, more, rules);
      expect(await layoutOf(plain, other)).toEqual(lines);
      expect(await layoutOf(plain, plain)).toEqual([]);
      const text = await runInProcess('diff', plain, other, '--plan', 't', '--markdown');
      expect(text.out).toContain(`| ${lines[0][0]} |`);
    });

    it('tells layers and shardings that are dealt otherwise', async () => {
      const stages = (more: string): string =>
        `plan t for m on workstation { stage s: prefill + decode on gpu { ${more} }, flow requests -> s -> results }`;
      const dealt = (name: string, more: string): string => planFile(name, '(tp: 4)', stages(more));
      const even = dealt('even.plan', 'mesh (pp: 2, tp: 2)');
      expect(
        await layoutOf(even, dealt('uneven.plan', 'mesh (pp: 2, tp: 2), split layers on pp [1, 3]')),
      ).toEqual([['s: layers', '2, 2', '1, 3']]);
      const all = 'heads, kv_heads, ffn, vocab on tp';
      const mixed = 'mesh (pp: 2, tp: 2), override layers[0..1].mlp { replicate ffn }';
      expect(await layoutOf(even, dealt('mixed.plan', mixed))).toEqual([
        ['s: sharding', all, `${all}; layers[0..1].mlp: nothing on tp`],
      ]);
    });
  });

  describe('of machines whose parts are called otherwise', () => {
    const machine = (name: string, text: string): string => {
      const file = join(folder, name);
      writeFileSync(
        file,
        `device slow { memory: 1 GB, bandwidth: 10 GB/s, compute: { f32: 1 TFLOPS } }
device fast { memory: 1 GB, bandwidth: 30 GB/s, compute: { f32: 1 TFLOPS } }
topology t { ${text} }
model m { family: llama, layers: 4, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 64, context: 128, weights: f32 }
plan p for m on t { stage serve: prefill + decode on gpu { mesh (tp: 4) }, flow requests -> serve -> results }
`,
      );
      return file;
    };
    const constantsOf = async (before: string, after: string) =>
      (
        await diffs(machine('machine-a.plan', before), machine('machine-b.plan', after))
      ).all[0]!.changes.filter(({ group }) => group === 'constants').map((each) => [
        each.name,
        each.before,
        each.after,
      ]);
    const host = 'tier host { capacity: 1 GiB }, link gpu <-> host { bandwidth: 1 GB/s }';
    const peers = 'link gpu <-> gpu { bandwidth: 2 GB/s }';

    it('compares what stands at one place', async () => {
      const before = `gpu[4]: slow, ${peers}, ${host}`;
      expect(await constantsOf(before, before.replace('slow', 'fast'))).toEqual([
        ['fast (slow before): bandwidth', '10 GB/s', '30 GB/s'],
      ]);
      const ranges = peers.replaceAll('gpu', 'gpu[0..3]').replace('2 GB/s', '1 GB/s');
      expect(await constantsOf(before, before.replace(peers, ranges))).toEqual([
        ['gpu[0..3] <-> gpu[0..3] (gpu <-> gpu before): bandwidth', '2 GB/s', '1 GB/s'],
      ]);
      const ram = host.replaceAll('host', 'ram').replace('1 GiB', '2 GiB').replace('1 GB/s', '4 GB/s');
      expect(await constantsOf(before, before.replace(host, ram))).toEqual([
        ['ram (host before): capacity', '1 GiB', '2 GiB'],
        ['gpu <-> ram (gpu <-> host before): bandwidth', '1 GB/s', '4 GB/s'],
      ]);
    });

    it('compares what links carry and tiers hold under names that both sides share', async () => {
      const two = (name: string, [host, gpus, capacity]: readonly [string, string, string]): string => {
        const file = join(folder, name);
        writeFileSync(
          file,
          `device slow { memory: 1 GB, bandwidth: 10 GB/s, compute: { f32: 1 TFLOPS } }
topology t { gpu[4]: slow, link ${gpus} <-> ${gpus} { bandwidth: 2 GB/s }, tier ${host} { capacity: ${capacity} }, link gpu <-> ${host} { bandwidth: 1 GB/s } }
model m { family: llama, layers: 4, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 64, context: 128, weights: f32 }
workload w { requests: 8, prompt: 32, output: 8 }
plan p for m on t {
  stage a: prefill on gpu { mesh (pp: 4) }, stage b: decode on gpu { mesh (tp: 4) }, kv { tiers: gpu -> ${host} }
  flow requests -> a -> b -> results { to b when ${host}.full, to a when ${host}.used < 20% }
}
`,
        );
        return file;
      };
      const own = two('tiers-a.plan', ['host', 'gpu', '1 GiB']);
      const changesOf = async (other: string) =>
        (await diffs(own, other, '--workload', 'w')).all[0]!.changes.filter(({ group }) =>
          ['bytes per link', 'peak per tier', 'predicted'].includes(group),
        );
      expect(await changesOf(two('tiers-b.plan', ['ram', 'gpu[0..3]', '1 GiB']))).toEqual([]);
      const changes = await changesOf(two('tiers-c.plan', ['ram', 'gpu', '2 GiB']));
      expect(changes.map(({ name }) => name)).toEqual(['ram (host before): room for KV']);
      expect(changes[0]!.before).toBeCloseTo(Number(changes[0]!.after) / 2, -6);
      const halved = two('tiers-d.plan', ['ram', 'gpu', '1 GiB']);
      writeFileSync(halved, readFileSync(halved, 'utf8').replace('kv { ', 'kv { dtype: f16, '));
      const [ram, both] = ['gpu <-> ram', '(gpu <-> host before)'];
      expect((await changesOf(halved)).map(({ name }) => name)).toEqual(
        expect.arrayContaining([
          `KV a -> b per token, ${ram}, gpu to ram ${both}`,
          `KV a -> b per token, ${ram}, ram to gpu ${both}`,
          'ram (host before): KV',
          `bytes over ${ram}, gpu to ram ${both}`,
        ]),
      );
    });

    it('compares the tiers of KV where other groups have tiers of that name that are called otherwise now', async () => {
      const groups = (name: string, [other, own]: readonly [string, string], capacity = '1 GiB'): string => {
        const group = (tier: string, size: string): string =>
          `{ gpu[4]: slow, tier ${tier} { capacity: ${size} }, link gpu <-> gpu { bandwidth: 2 GB/s }, link gpu <-> ${tier} { bandwidth: 1 GB/s } }`;
        const file = join(folder, name);
        writeFileSync(
          file,
          `device slow { memory: 1 GB, bandwidth: 10 GB/s, compute: { f32: 1 TFLOPS } }
topology t { old ${group(other, '1 GiB')}, now ${group(own, capacity)} }
model m { family: llama, layers: 4, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 64, context: 128, weights: f32 }
workload w { requests: 8, prompt: 32, output: 8 }
plan p for m on t {
  residence: switch
  stage a: prefill on now.gpu { mesh (pp: 2, tp: 2) }, stage b: decode on now.gpu { mesh (tp: 4) }, kv { tiers: gpu -> ${own} }
  flow requests -> a -> b -> results { to b when ${own}.full, to a when ${own}.used < 20% }
}
`,
        );
        return file;
      };
      const before = groups('groups-a.plan', ['host', 'host']);
      const peaksOf = async (after: string) =>
        (await diffs(before, after, '--workload', 'w')).all[0]!.changes.filter(
          ({ group }) => group === 'peak per tier',
        );
      expect(await peaksOf(groups('groups-b.plan', ['ram', 'host']))).toEqual([]);
      for (const [other, own, called] of [
        ['ram', 'host', 'host'],
        ['ram', 'dram', 'dram (host before)'],
        ['host', 'dram', 'dram (host before)'],
      ] as const) {
        const changes = await peaksOf(groups('groups-c.plan', [other, own], '2 GiB'));
        expect(changes.map(({ name }) => name)).toEqual([`${called}: room for KV`]);
        expect(changes[0]!.before).toBeCloseTo(Number(changes[0]!.after) / 2, -6);
      }
    });

    it('says what is gone and what is new where nothing stands there on the other side', async () => {
      const own = `gpu[4]: slow, ${peers}, ${host}`;
      const more = `${own}, spare[2]: fast, link spare <-> host { bandwidth: 3 GB/s, latency: 5 us }`;
      const [device, link] = [
        'memory 1 GB, bandwidth 30 GB/s, compute f32 1 TFLOPS',
        'bandwidth 3 GB/s, latency 5 us',
      ];
      expect(await constantsOf(own, more)).toEqual([
        ['device fast', undefined, device],
        ['link spare <-> host', undefined, link],
      ]);
      expect(await constantsOf(more, own)).toEqual([
        ['device fast', device, undefined],
        ['link spare <-> host', link, undefined],
      ]);
    });
  });
});
