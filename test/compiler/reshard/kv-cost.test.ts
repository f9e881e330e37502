/** What a token's KV costs between stages beside several hosts. */
import { describe, expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import { compilePlan } from '../../../compiler/compile.js';
import type { KvCost } from '../../../compiler/ir/transitions.js';
import { memoryHost } from '../check/memory-host.js';

/** K and V of 4 layers, 4 heads of 16, in f32. */
const TOKEN_BYTES = 2 * 4 * 4 * 16 * 4;

/** Of nodes of two devices each, with links to hosts of 1 GB/s and of 4 GB/s between nodes. */
function costBetween(prefill: string, decode: string): KvCost {
  const text = `
device card { memory: 1 GB, bandwidth: 100 GB/s, compute: { f32: 1 TFLOPS } }
topology box {
  node[2] {
    gpu[2]: card
    tier host { capacity: 1 GB }
    link gpu <-> gpu { bandwidth: 20 GB/s }
    link gpu <-> host { bandwidth: 1 GB/s, latency: 1 ms }
  }
  link node <-> node { bandwidth: 4 GB/s }
}
model tiny {
  family: llama
  layers: 4, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 256, context: 256
  weights: f32
}
plan p for tiny on box {
  stage prefill on ${prefill}
  stage decode on ${decode}
  kv { page: 16 tokens, tiers: gpu -> host }
  flow requests -> prefill -> decode -> results
}
`;
  const { plans, diagnostics } = checkFile(memoryHost({ 'p.plan': text }), 'p.plan');
  expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  const { kvCosts } = compilePlan(plans[0]!).transitions;
  expect(kvCosts).toHaveLength(1);
  return kvCosts[0]!;
}

const bytesOf = ({ links }: KvCost): readonly string[] =>
  links.map(({ from, to, bytes }) => `${from} to ${to}: ${bytes / TOKEN_BYTES}`);

describe('KV between nodes', () => {
  it('goes out, from host to host, and in: every leg counts, and the busiest lane of all of them', () => {
    const cost = costBetween('node[0].gpu { mesh (tp: 2) }', 'node[1].gpu[0] { mesh (tp: 1) }');
    expect(bytesOf(cost)).toEqual(['gpu to host: 1', 'node to node: 1', 'host to gpu: 1']);
    expect(cost.links.map(({ busiest }) => [busiest.place, busiest.bytes])).toEqual([
      ['node[0].gpu[0]', TOKEN_BYTES / 2],
      ['node[0]', TOKEN_BYTES],
      ['node[1].gpu[0]', TOKEN_BYTES],
    ]);
    expect(cost.seconds).toBeCloseTo(TOKEN_BYTES / 1e9, 15);
    expect(cost).toMatchObject({ linkBytes: 3 * TOKEN_BYTES, lowerBound: TOKEN_BYTES });
  });

  it('goes between hosts only as far as it lies with another', () => {
    const cost = costBetween('node.gpu[0] { mesh (pp: 2) }', 'node.gpu[1] { mesh (tp: 2) }');
    expect(bytesOf(cost)).toEqual(['gpu to host: 1', 'node to node: 0.5', 'host to gpu: 1']);
    expect(cost.linkBytes).toBe(2.5 * TOKEN_BYTES);
    const within = costBetween('node[0].gpu[0] { mesh (tp: 1) }', 'node[0].gpu[1] { mesh (tp: 1) }');
    expect(bytesOf(within)).toEqual(['gpu to host: 1', 'host to gpu: 1']);
  });
});
