/** Between the hosts of prefill and those of decode there is a road from each to each, or the plan is refused. */
import { expect, it } from 'vitest';
import { routesOf } from '../../../compiler/plan/routes.js';
import { checkText } from './memory-host.js';

const PAIRS = [0, 1, 2, 3].flatMap((a) => [0, 1, 2, 3].filter((b) => b > a).map((b) => [a, b] as const));

/** Four hosts with the links of `links` (a bit per pair); the first two prefill, the others decode. */
const sourceOf = (links: number): string => `
  device d { memory: 16 GB, bandwidth: 300 GB/s, compute: { f32: 1 TFLOPS } }
  model m { layers: 2, hidden: 8, heads: 2, kv_heads: 2, ffn: 8, vocab: 9, context: 16, weights: f16 }
  topology t {
    node[4] { gpu: d, tier host { capacity: 1 TB }, link gpu <-> host { bandwidth: 1 GB/s } }
    ${PAIRS.map(([a, b], i) => ((links >> i) & 1 ? `link node[${a}] <-> node[${b}] { bandwidth: 1 GB/s }` : '')).join('\n')}
  }
  plan p for m on t {
    stage prefill on node[0..1].gpu { mesh (dp: fill) }
    stage decode on node[2..3].gpu { mesh (dp: fill) }
    kv { page: 16 tokens, tiers: gpu -> host }
    flow requests -> prefill -> decode -> results
  }`;

it('finds a missing road wherever it is, and none where all are there', () => {
  const connected = checkText(sourceOf(2 ** PAIRS.length - 1)).plans[0]!;
  let refused = 0;
  for (let links = 0; links < 2 ** PAIRS.length; links++) {
    const { diagnostics } = checkText(sourceOf(links));
    const kept = PAIRS.filter((_, i) => (links >> i) & 1).map(([a, b]) => `node[${a}] node[${b}]`);
    const topology = {
      ...connected.topology,
      links: connected.topology.links.filter(
        ({ scope, from, to }) => scope !== '' || kept.includes(`${from} ${to}`),
      ),
    };
    const routes = routesOf(topology);
    const all = [0, 1].every((a) => [2, 3].every((b) => routes.find(`node[${a}].host`, `node[${b}].host`)));
    expect(
      diagnostics.some(({ message }) => message.includes('KV going from stage `prefill` to stage `decode`')),
      kept.join(', '),
    ).toBe(!all);
    if (!all) refused++;
  }
  expect(refused).toBeGreaterThan(10);
  expect(refused).toBeLessThan(60);
});
