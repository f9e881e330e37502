/**
 * How compiling and simulating grow with the devices: plans for a shape of 126 layers over 8 to 4,096 devices, each
 * replica on one node, of three kinds: a fused plan, one that re-shards on all devices, and one with disjoint halves.
 * Times are the processor's, all threads of the process together, so that a busy machine does not show in them.
 *
 *   npm run bench:scale -- [most devices] [requests] [kind] [least devices]
 */
import { checkFile } from '../compiler/check/check-file.js';
import { compilePlan } from '../compiler/compile.js';
import { oneFileHost } from '../compiler/host.js';
import { simulate } from '../runtime/clock/simulate.js';
import { asked } from './support/arguments.js';
import { scaleArguments, type Kind } from './support/scale-arguments.js';
import { processorSeconds, timed } from './support/timed.js';

const LAYERS = 126;
function planText(kind: Kind, nodes: number): string {
  const prefill = 'mesh (dp: fill, pp: 4, tp: 2), microbatch: 4096 tokens';
  const decode = `mesh (dp: fill, tp: 8), batch: ${64 * nodes} requests`;
  const stages = {
    fused: [`stage serve: prefill + decode on node.gpu { ${decode}, microbatch: 4096 tokens }`],
    're-sharded': [`stage prefill on node.gpu { ${prefill} }`, `stage decode on node.gpu { ${decode} }`],
    disaggregated: [
      `stage prefill on node[0..${nodes / 2 - 1}].gpu { ${prefill} }`,
      `stage decode on node[${nodes / 2}..${nodes - 1}].gpu { ${decode} }`,
    ],
  }[kind];
  const flow = kind === 'fused' ? 'serve' : 'prefill -> decode';
  return `import { mi300x } from "std/devices"
topology pod {
  node[${nodes}] {
    gpu[8]: mi300x
    tier host { capacity: 1 TiB }
    link gpu <-> gpu { bandwidth: 450 GB/s, latency: 3 us }
    link gpu <-> host { bandwidth: 50 GB/s, latency: 8 us }
  }
  link node <-> node { bandwidth: 50 GB/s, latency: 6 us }
}
model llama3_405b {
  family: llama
  layers: ${LAYERS}
  hidden: 16384
  heads: 128
  kv_heads: 8
  ffn: 53248
  vocab: 128256
  context: 8192
  weights: bf16
}
plan scale for llama3_405b on pod {
  ${stages.join('\n  ')}
  kv { page: 32 tokens, tiers: gpu -> host }
  flow requests -> ${flow} -> results
}
`;
}

function row(kind: Kind, nodes: number, requests: number): string {
  const checked = timed(
    () => checkFile(oneFileHost('scale.plan', planText(kind, nodes)), 'scale.plan'),
    processorSeconds,
  );
  const [plan] = checked.value.plans;
  if (!plan) throw new Error(checked.value.diagnostics.map(({ message }) => message).join('\n'));
  const compiled = timed(() => compilePlan(plan), processorSeconds);
  const errors = compiled.value.diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new Error(errors.map(({ message }) => message).join('\n'));
  const workload = Array.from({ length: requests }, () => ({ promptTokens: 2048, outputTokens: 256 }));
  const run = timed(() => simulate(compiled.value.runtime, plan, workload), processorSeconds);
  const cells = [
    kind.padEnd(13),
    String(nodes * 8).padStart(5),
    checked.seconds.toFixed(2).padStart(8),
    compiled.seconds.toFixed(2).padStart(8),
    run.seconds.toFixed(2).padStart(9),
    String(run.value.steps).padStart(8),
    (process.memoryUsage().heapUsed / 2 ** 20).toFixed(0).padStart(7),
  ];
  return cells.join('  ');
}

const { requests, sizes } = asked('scale', scaleArguments(process.argv.slice(2)));
console.log(`${LAYERS} layers, ${requests} requests of 2048 + 256 tokens; processor seconds`);
console.log('plan           devices   check   compile   simulate    steps     MiB');
for (const { kind, devices } of sizes)
  for (const count of devices) console.log(row(kind, count / 8, requests));
