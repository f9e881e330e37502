/**
 * Requests and tokens per second of the ways to share out a model, over request sets from long prompts to long answers, in
 * one run: time by category, KV traffic by tier, and what a decode step costs the host beside what it waits for the
 * devices. Weights are random. Software devices share the machine with everything else, so trust the ratios within a
 * run; all devices are one processor there, so nothing gets quicker by being split.
 *
 *   npm run bench:throughput -- [clerk | 110m ...]
 */
import { compilePlan } from '../compiler/compile.js';
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import type { ModelShape } from '../compiler/model/shape.js';
import { openEngine } from '../runtime/engine/open.js';
import type { EngineStats } from '../runtime/engine/types.js';
import { makePlan } from '../test/compiler/support/make-plan.js';
import type { StageOptions } from '../test/compiler/support/make-plan.js';
import { submitRequests } from './support/requests.js';
import type { RequestSize } from './support/requests.js';

interface Case {
  readonly shape: Partial<ModelShape> & { readonly vocab: number };
  readonly microbatchTokens: number;
  readonly batchRequests: number;
  readonly requests: number;
  readonly sets: readonly RequestSize[];
}

const CASES: Readonly<Record<string, Case>> = {
  clerk: {
    shape: { layers: 8, hidden: 128, heads: 8, kvHeads: 4, headDim: 16, ffn: 256, vocab: 512, context: 512 },
    microbatchTokens: 256,
    batchRequests: 16,
    requests: 24,
    sets: [
      { promptTokens: 320, newTokens: 16 },
      { promptTokens: 128, newTokens: 32 },
      { promptTokens: 64, newTokens: 64 },
      { promptTokens: 32, newTokens: 64 },
    ],
  },
  '110m': {
    shape: {
      layers: 12,
      hidden: 768,
      heads: 12,
      kvHeads: 4,
      headDim: 64,
      ffn: 2048,
      vocab: 32000,
      context: 256,
    },
    microbatchTokens: 64,
    batchRequests: 4,
    requests: 6,
    sets: [
      { promptTokens: 80, newTokens: 4 },
      { promptTokens: 8, newTokens: 16 },
    ],
  },
};

type Stages = readonly Pick<StageOptions, 'name' | 'mesh' | 'phases'>[];

const PLANS: Readonly<Record<string, Stages>> = {
  'static tp': [
    { name: 'prefill', mesh: { tp: 4 } },
    { name: 'decode', mesh: { tp: 4 } },
  ],
  'static pp': [
    { name: 'prefill', mesh: { pp: 4 } },
    { name: 'decode', mesh: { pp: 4 } },
  ],
  're-shard': [
    { name: 'prefill', mesh: { pp: 4 } },
    { name: 'decode', mesh: { tp: 4 } },
  ],
  fused: [{ name: 'serve', mesh: { tp: 4 }, phases: ['prefill', 'decode'] }],
};

function compile({ shape, microbatchTokens, batchRequests }: Case, stages: Stages): RuntimeGraph {
  const plan = makePlan({
    shape,
    stages: stages.map((stage) => ({ ...stage, microbatchTokens, batchRequests })),
  });
  const { runtime, diagnostics } = compilePlan(plan);
  const error = diagnostics.find(({ severity }) => severity === 'error');
  if (error !== undefined) throw new Error(error.message);
  return runtime;
}

interface Measured {
  readonly seconds: number;
  readonly stats: EngineStats;
}

async function measure(graph: RuntimeGraph, vocab: number, sizes: readonly RequestSize[]): Promise<Measured> {
  const engine = await openEngine(graph);
  try {
    submitRequests(engine, vocab, sizes);
    const began = performance.now();
    await engine.run();
    return { seconds: (performance.now() - began) / 1000, stats: engine.stats() };
  } finally {
    await engine.dispose();
  }
}

const HEADINGS = [
  'in:out',
  'plan',
  'req/s',
  'tok/s',
  'wall s',
  'prefill s',
  'decode s',
  'exposed s',
  'switches',
  'KV out MB',
  'KV in MB',
  'weights MB',
  'steps p/d',
  'ms a decode step',
  'host: encode',
  'submit',
  'exchange',
  'sample',
  'schedule',
  'waits',
];

function row(plan: string, size: RequestSize, requests: number, { seconds, stats }: Measured): string[] {
  const mega = (bytes: number): string => (bytes / 1e6).toFixed(1);
  const { steps, host } = stats;
  const perStep = (total: number): number => (1000 * total) / Math.max(1, steps.decode);
  const decode = perStep(stats.decodeSeconds);
  // Scheduling is of all steps alike.
  const schedule = (1000 * host.schedule) / Math.max(1, steps.prefill + steps.decode);
  const work = [host.decode.encode, host.decode.submit, host.decode.exchange, host.decode.sample].map(
    perStep,
  );
  const waits = decode - work.reduce((sum, each) => sum + each, 0);
  return [
    `${size.promptTokens}:${size.newTokens}`,
    plan,
    (requests / seconds).toFixed(2),
    ((stats.promptTokens + stats.generatedTokens) / seconds).toFixed(0),
    seconds.toFixed(2),
    stats.prefillSeconds.toFixed(2),
    stats.decodeSeconds.toFixed(2),
    stats.transitionExposedSeconds.toFixed(2),
    String(stats.transitions),
    mega(stats.bytes.kvOut),
    mega(stats.bytes.kvIn),
    mega(stats.bytes.weights),
    `${steps.prefill}/${steps.decode}`,
    decode.toFixed(2),
    ...work.map((each) => each.toFixed(2)),
    schedule.toFixed(2),
    waits.toFixed(2),
  ];
}

const names = process.argv.slice(2);
const unknown = names.filter((name) => !(name in CASES));
if (unknown.length > 0) throw new Error(`no shape ${unknown.join(', ')}`);
for (const [name, each] of Object.entries(CASES)) {
  if (names.length > 0 && !names.includes(name)) continue;
  console.log(`${name}: ${each.requests} requests in each set, at most ${each.batchRequests} decode at once`);
  console.log(`| ${HEADINGS.join(' | ')} |`);
  console.log(`|${HEADINGS.map(() => '---').join('|')}|`);
  for (const size of each.sets) {
    for (const [plan, stages] of Object.entries(PLANS)) {
      const sizes = Array.from({ length: each.requests }, () => size);
      const measured = await measure(compile(each, stages), each.shape.vocab, sizes);
      console.log(`| ${row(plan, size, each.requests, measured).join(' | ')} |`);
    }
  }
}
