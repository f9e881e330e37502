/** Plans that drawings are tested with. */
import { checkAndCompile } from '../../../compiler/check-and-compile.js';
import type { CompileResult } from '../../../compiler/compile.js';
import { oneFileHost } from '../../../compiler/host.js';
import type { Plan } from '../../../compiler/plan/plan.js';

/** Nodes of eight devices of which two stages share all (`turns`), or each has half (`apart`); so many nodes. */
export function pod(nodes: number): string {
  return `import { h100 } from "std/devices"
topology pod {
  node[${nodes}] {
    gpu[8]: h100
    tier host { capacity: 1 TiB }
    tier nvme { capacity: 8 TB, path: "/kv" }
    link gpu <-> gpu { bandwidth: 450 GB/s, latency: 3 us }
    link gpu <-> host { bandwidth: 50 GB/s, latency: 8 us }
    link host <-> nvme { bandwidth: 6 GB/s, latency: 90 us }
  }
  link node <-> node { bandwidth: 50 GB/s, latency: 6 us }
}
model tall { family: llama, layers: 16, hidden: 2048, heads: 16, kv_heads: 8, ffn: 4096, vocab: 32000, context: 4096, weights: f16 }
plan turns for tall on pod {
  residence: switch
  stage prefill on node.gpu { mesh (dp: fill, pp: 4, tp: 2) }
  stage decode on node.gpu { mesh (dp: fill, tp: 8), batch: ${64 * nodes} requests }
  kv { page: 32 tokens, tiers: gpu -> host -> nvme }
  flow requests -> prefill -> decode -> results
}
plan apart from turns {
  stage prefill on node[0..${nodes / 2 - 1}].gpu { mesh (dp: fill, pp: 4, tp: 2) }
  stage decode on node[${nodes / 2}..${nodes - 1}].gpu { mesh (dp: fill, tp: 8), batch: ${32 * nodes} requests }
}
`;
}

export function compileText(
  text: string,
  name: string,
): { readonly plan: Plan; readonly compiled: CompileResult } {
  const { compiled, diagnostics } = checkAndCompile(oneFileHost('test.plan', text), 'test.plan');
  const found = compiled.find(({ plan }) => plan.name === name);
  if (found === undefined) throw new Error(diagnostics.map(({ message }) => message).join('\n'));
  return { plan: found.plan, compiled: found.result };
}
