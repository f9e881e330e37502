/** The flow: every way that requests and their KV take, each once. */
import { describe, expect, it } from 'vitest';
import { flowDiagram } from '../../../cli/graph/flow.js';
import { compileText } from './support.js';

/** Eight devices with a host and a disk, and a plan of these stages and tiers. */
function box(stages: string, flow: string, tiers: string): string {
  return `import { l4 } from "std/devices"
topology box {
  gpu[8]: l4
  tier host { capacity: 20 GiB }
  tier nvme { capacity: 100 GB, path: "/kv" }
  link gpu <-> gpu { bandwidth: 4 GB/s, latency: 20 us }
  link gpu <-> host { bandwidth: 12 GB/s, latency: 10 us }
  link host <-> nvme { bandwidth: 2 GB/s, latency: 90 us }
}
model m { family: llama, layers: 4, hidden: 512, heads: 4, kv_heads: 4, ffn: 1024, vocab: 1024, context: 4096, weights: f16 }
plan p for m on box {
  ${stages}
  kv { page: 16 tokens, tiers: ${tiers} }
  flow requests -> ${flow} -> results
}
`;
}

/** Edges as `from -> to: label`, ids of tiers by their first word; `<->` for there and back. */
function edgesOf(text: string): readonly string[] {
  const { plan, compiled } = compileText(text, 'p');
  const short = (id: string): string => id.replace(' tier', '').replace('all ', '');
  return flowDiagram(plan, compiled).edges.map(({ from, to, label, kind }) => {
    const arrow = { flow: '->', joins: '-', swaps: '<->', turns: '=>' }[kind];
    return `${short(from)} ${arrow} ${short(to)}${label.length > 0 ? `: ${label.join(', ')}` : ''}`;
  });
}

describe('a flow', () => {
  it('hands KV over once, however many stages take it from the host', () => {
    const stages = `stage prefill on gpu[0..3] { mesh (pp: 4) }
  stage d1: decode on gpu[4..5] { mesh (tp: 2) }
  stage d2: decode on gpu[6..7] { mesh (tp: 2) }`;
    expect(edgesOf(box(stages, 'prefill -> d1 -> d2', 'gpu -> host'))).toEqual([
      'requests -> prefill',
      'prefill -> host: KV, 8.00 KiB a token',
      'host -> d1: KV, 8.00 KiB a token',
      'host -> d2: KV, 8.00 KiB a token',
      'prefill <-> host: preempted',
      'd1 <-> host: preempted',
      'd2 <-> host: preempted',
      'd1 -> results',
      'd2 -> results',
    ]);
  });

  it('has what is preempted and what is spilled come back, where there are tiers for it', () => {
    const stage = 'stage serve: prefill + decode on gpu { mesh (dp: 2, tp: 4) }';
    const ends = ['requests -> serve', 'serve -> results'];
    const between = (tiers: string): readonly string[] =>
      edgesOf(box(stage, 'serve', tiers)).filter((edge) => !ends.includes(edge));
    expect(between('gpu')).toEqual([]);
    expect(between('gpu -> host')).toEqual(['serve <-> host: preempted']);
    expect(between('gpu -> host -> nvme')).toEqual([
      'serve <-> host: preempted',
      'host -> disk: spilled when full',
      'disk -> host: fetched ahead of need',
    ]);
  });
});
