import { describe, expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import { compilePlan } from '../../../compiler/compile.js';
import { memoryHost } from '../check/memory-host.js';
import { parseRuntimeGraph, serialiseRuntimeGraph } from '../../../compiler/ir/runtime-json.js';
import { printRuntime } from '../../../compiler/ir/print-runtime.js';
import type { RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';

const card = (gemm = ''): string => `
device card {
  memory: 1 GB
  bandwidth: 100 GB/s
  compute: { f32: 1 TFLOPS }
  sustained: { compute: 50%, bandwidth: 80% }
  ${gemm}
}`;

const MODEL = `
model tiny {
  family: llama
  layers: 2, hidden: 64, heads: 4, kv_heads: 2, ffn: 128, vocab: 256, context: 256
  weights: f32
}`;

/** Nodes of two devices, with a link between them that is slower than those within. */
function onNodes(nodes: number, stages: string): RuntimeGraph {
  return compiledFrom(`${card()}
topology box {
  node[${nodes}] {
    gpu[2]: card
    tier host { capacity: 1 GB }
    tier nvme { capacity: 2 GB, path: "/kv" }
    link gpu <-> gpu { bandwidth: 20 GB/s }
    link gpu <-> host { bandwidth: 10 GB/s }
    link host <-> nvme { bandwidth: 1 GB/s }
  }
  link node <-> node { bandwidth: 3 GB/s }
}${MODEL}
plan p for tiny on box {
  ${stages}
  kv { page: 16 tokens, tiers: gpu -> host -> nvme }
  flow requests -> prefill -> decode -> results
}
`);
}

function compiled(tiers: string, gemm = ''): RuntimeGraph {
  return compiledFrom(`${card(gemm)}
topology box {
  gpu[2]: card
  tier host { capacity: 1 GB }
  tier nvme { capacity: 2 GB, path: "/kv" }
  link gpu <-> host { bandwidth: 10 GB/s, latency: 1 us }
  link host <-> nvme { bandwidth: 1 GB/s, latency: 1 us }
}${MODEL}
plan p for tiny on box {
  stage prefill on gpu { mesh (pp: 2) }
  stage decode on gpu { mesh (tp: 2) }
  kv { page: 16 tokens, ${tiers} }
  flow requests -> prefill -> decode -> results
}
`);
}

function compiledFrom(text: string): RuntimeGraph {
  const { plans, diagnostics } = checkFile(memoryHost({ 'p.plan': text }), 'p.plan');
  expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  return compilePlan(plans[0]!).runtime;
}

describe('KV tiers of a runtime graph', () => {
  // A page: 2 layers x 2 kv heads x 16 tokens x K and V x 16 x 4 bytes.
  const pageBytes = 2 * 2 * 16 * 2 * 16 * 4;

  it('are the first host tier and the disk tier behind it, up to their caps', () => {
    const graph = compiled('tiers: gpu -> host up to 1 MB -> nvme up to 10 MB');
    expect(graph.hostTier).toEqual({ name: 'host', pageBytes, pages: Math.floor(1e6 / pageBytes) });
    expect(graph.diskTier).toMatchObject({
      name: 'nvme',
      directory: '/kv',
      pages: Math.floor(1e7 / pageBytes),
    });
    expect(parseRuntimeGraph(JSON.parse(serialiseRuntimeGraph(graph)))).toMatchObject({
      graph: { diskTier: graph.diskTier },
    });
    expect(printRuntime(graph)).toContain(`tier nvme: ${graph.diskTier!.pages} pages below /kv`);
  });

  it('have no disk unless the plan names it', () => {
    expect(compiled('tiers: gpu -> host').diskTier).toBeUndefined();
  });

  it('say what a page and a token cost by the declared rates', () => {
    const { costs } = compiled('tiers: gpu -> host -> nvme').kv;
    // Each of two ranks moves half a page over its own link.
    expect(costs.hostPage).toBeCloseTo(pageBytes / 2 / 10e9, 15);
    expect(costs.diskPage).toBeCloseTo(pageBytes / 1e9, 15);
    const weights = 2 * (64 * 16 * (4 + 4 + 2 + 2) + 3 * 64 * 128);
    expect(costs.prefillToken).toBeCloseTo((2 * weights) / (2 * 0.5e12), 15);
    // A step has up to 256 rows, and products of so many a speed of their own.
    const calibrated = compiled('tiers: gpu -> host -> nvme', 'gemm: { 1: 5%, 256: 80%, 512: 90% }').kv;
    expect(calibrated.costs.prefillToken).toBeCloseTo((2 * weights) / (2 * 0.8e12), 15);
  });

  it('say the same for every number of replicas, each on a node of its own', () => {
    const of = (nodes: number): RuntimeGraph['kv']['costs'] =>
      onNodes(
        nodes,
        `stage prefill on node.gpu { mesh (dp: ${nodes}, pp: 2) }, stage decode on node.gpu { mesh (dp: ${nodes}, tp: 2) }`,
      ).kv.costs;
    expect(of(3)).toEqual(of(1));
  });

  it('count the way from node to node, and the hosts beside devices that prefill', () => {
    const apart = onNodes(
      2,
      'stage prefill on node[0].gpu { mesh (pp: 2) }, stage decode on node[1].gpu { mesh (tp: 2) }',
    );
    // From host to host a page goes whole, and then a half of it to each device.
    expect(apart.kv.costs.hostPage).toBeCloseTo(pageBytes / 3e9 + pageBytes / 2 / 10e9, 15);
    const across = onNodes(
      2,
      'stage prefill on node.gpu[0] { mesh (pp: 2) }, stage decode on node.gpu[0] { mesh (tp: 2) }',
    );
    // Each takes in a head, of which the other node has one of the layers.
    expect(across.kv.costs.hostPage).toBeCloseTo(pageBytes / 4 / 3e9 + pageBytes / 2 / 10e9, 15);
    // Either disk has one of the layers.
    expect(across.kv.costs.diskPage).toBeCloseTo(pageBytes / 2 / 1e9, 15);
    const [one, both] = [1, 2].map((nodes) =>
      onNodes(
        nodes,
        `stage prefill on node.gpu { mesh (dp: ${nodes}, tp: 2) }, stage decode on node.gpu { mesh (dp: ${nodes}, tp: 2) }`,
      ),
    );
    const bytes = ({ hostTier }: RuntimeGraph): number => hostTier!.pages * hostTier!.pageBytes;
    expect(bytes(one!)).toBeCloseTo(1e9, -5);
    expect(bytes(both!)).toBeCloseTo(2e9, -5);
    expect(bytes(apart)).toBeCloseTo(1e9, -5);
  });
});
