/**
 * Requests and tokens per second of the ways to share out a model, over request sets from long prompts to long answers, in
 * one run: time by category, KV traffic by tier, and what a decode step costs the host beside what it waits for the
 * devices. Weights are random. Software devices share the machine with everything else, so trust the ratios within a
 * run; all devices are one processor there, so nothing gets quicker by being split.
 *
 *   npm run bench:throughput -- [clerk | 110m ...]
 */
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import { openEngine } from '../runtime/engine/open.js';
import type { EngineStats } from '../runtime/engine/types.js';
import { submitRequests } from './support/requests.js';
import type { RequestSize } from './support/requests.js';
import { CASES, compile, PLANS } from './support/throughput-plans.js';

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
      const measured = await measure(compile(each, stages).runtime, each.shape.vocab, sizes);
      console.log(`| ${row(plan, size, each.requests, measured).join(' | ')} |`);
    }
  }
}
