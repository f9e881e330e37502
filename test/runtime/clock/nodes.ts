/** Plans over nodes of two devices, each with a host and a disk. */
import { expect } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { memoryHost } from '../../compiler/check/memory-host.js';

export interface Nodes {
  readonly nodes: number;
  readonly stages: string;
  readonly tiers?: string;
  /** GB/s between nodes, and to each disk. */
  readonly between?: number;
  readonly disk?: number;
}

export function planOnNodes({ nodes, stages, tiers = 'gpu -> host', between = 1, disk = 1 }: Nodes): Plan {
  const text = `
device card { memory: 2 GB, bandwidth: 300 GB/s, compute: { f16: 4 TFLOPS } }
topology machine {
  node[${nodes}] {
    gpu[2]: card
    tier host { capacity: 4 GiB }
    tier nvme { capacity: 32 GB, path: "/kv" }
    link gpu <-> gpu { bandwidth: 20 GB/s, latency: 5 us }
    link gpu <-> host { bandwidth: 12 GB/s, latency: 10 us }
    link host <-> nvme { bandwidth: ${disk} GB/s, latency: 90 us }
  }
  link node <-> node { bandwidth: ${between} GB/s, latency: 20 us }
}
model m {
  family: llama, layers: 8, hidden: 512, heads: 8, kv_heads: 8, ffn: 1024, vocab: 1000, context: 2048
  weights: f16
}
plan p for m on machine {
  residence: switch
  ${stages}
  kv { page: 16 tokens, tiers: ${tiers} }
  flow requests -> prefill -> decode -> results
}`;
  const { plans, diagnostics } = checkFile(memoryHost({ 'p.plan': text }), 'p.plan');
  expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  return plans[0]!;
}
