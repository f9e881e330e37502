/**
 * Requests and tokens per second of the ways to share out a model, over request sets from 20 prompt tokens per new one to
 * two new ones per prompt token, in one run: time by category, KV traffic by tier, and what a decode step costs the host
 * beside what it waits for the devices. Weights are random. Software devices share the machine with everything else, so
 * trust the ratios within a run; all devices are one processor there, so nothing gets quicker by being split.
 *
 *   npm run bench:throughput -- [clerk | 110m ...]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import { openEngine } from '../runtime/engine/open.js';
import type { EngineStats } from '../runtime/engine/types.js';
import { asked, pickNamed } from './support/arguments.js';
import { submitRequests } from './support/requests.js';
import type { RequestSize } from './support/requests.js';
import { CASES, compile, PLANS, throughDisk } from './support/throughput-plans.js';
import type { Case } from './support/throughput-plans.js';

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
  'of best static',
  'wall s',
  'prefill s',
  'decode s',
  'exposed s',
  'switches',
  'KV to host MB',
  'from host',
  'to disk',
  'from disk',
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

const tokensPerSecond = ({ seconds, stats }: Measured): number =>
  (stats.promptTokens + stats.generatedTokens) / seconds;

/** `best`: tokens per second of the better static plan, for those that are none. */
function row(
  plan: string,
  size: RequestSize,
  requests: number,
  measured: Measured,
  best: number | undefined,
): string[] {
  const { seconds, stats } = measured;
  const mega = (bytes: number): string => (bytes / 1e6).toFixed(1);
  const { steps, host, bytes } = stats;
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
    tokensPerSecond(measured).toFixed(0),
    best === undefined ? '' : (tokensPerSecond(measured) / best).toFixed(2),
    seconds.toFixed(2),
    stats.prefillSeconds.toFixed(2),
    stats.decodeSeconds.toFixed(2),
    stats.transitionExposedSeconds.toFixed(2),
    String(stats.transitions),
    ...[bytes.kvOut, bytes.kvIn, bytes.kvSpilled, bytes.kvFetched, bytes.weights].map(mega),
    `${steps.prefill}/${steps.decode}`,
    decode.toFixed(2),
    ...work.map((each) => each.toFixed(2)),
    schedule.toFixed(2),
    waits.toFixed(2),
  ];
}

/** Static plans first: the others are compared with the better of them. */
function graphsOf(
  each: Case,
  size: RequestSize,
  directory: string,
): readonly (readonly [name: string, graph: RuntimeGraph])[] {
  return Object.entries(PLANS).flatMap(([name, stages]) => {
    const graph = compile(each, stages).runtime;
    if (name !== 're-shard') return [[name, graph] as const];
    return [[name, graph] as const, [`${name}, disk`, throughDisk(graph, size, each, directory)] as const];
  });
}

const names = asked('throughput', pickNamed('shape', Object.keys(CASES), process.argv.slice(2)));
const directory = mkdtempSync(join(tmpdir(), 'fulcrum-throughput-'));
try {
  for (const name of names) {
    const each = CASES[name]!;
    console.log(
      `${name}: ${each.requests} requests in each set, at most ${each.batchRequests} decode at once`,
    );
    console.log(`| ${HEADINGS.join(' | ')} |`);
    console.log(`|${HEADINGS.map(() => '---').join('|')}|`);
    for (const size of each.sets) {
      let best = 0;
      for (const [plan, graph] of graphsOf(each, size, directory)) {
        const sizes = Array.from({ length: each.requests }, () => size);
        const measured = await measure(graph, each.shape.vocab, sizes);
        const isStatic = plan.startsWith('static');
        if (isStatic) best = Math.max(best, tokensPerSecond(measured));
        const cells = row(plan, size, each.requests, measured, isStatic ? undefined : best);
        console.log(`| ${cells.join(' | ')} |`);
      }
    }
  }
} finally {
  rmSync(directory, { recursive: true });
}
