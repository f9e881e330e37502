/**
 * What transitions cost on a model of 110 M parameters with random weights: for each pair of meshes the bytes moved
 * beside the lower bound, the rate of the moves beside that of as many bytes written plainly (`reshard-moves.ts`), and
 * the time in which devices compute nothing, with dataflow and with barriers. All of a case is measured in one run;
 * software devices share the machine with everything else, so trust the ratios.
 *
 *   npm run bench:reshard -- [case ...]
 */
import { compilePlan } from '../compiler/compile.js';
import type { CompileResult } from '../compiler/compile.js';
import type { Mesh } from '../compiler/plan/plan.js';
import { openEngine } from '../runtime/engine/open.js';
import type { EngineStats } from '../runtime/engine/types.js';
import type { TransitionMode } from '../runtime/scheduler/types.js';
import { makePlan } from '../test/compiler/support/make-plan.js';
import { measureMoves } from './reshard-moves.js';
import type { MoveRates, Rate } from './reshard-moves.js';
import { submitRequests } from './support/requests.js';
import type { RequestSize } from './support/requests.js';
import { LLAMA_110M } from './support/shapes.js';

const SHAPE = { ...LLAMA_110M, context: 128 };
const REQUESTS = 12;
const PROMPT_TOKENS = 48;
const NEW_TOKENS = 5;
const BATCH = 4;
/** Room for half of the requests, so that a batch switches back and forth. */
const HOST_BYTES = 4 * 64 * 2 * SHAPE.kvHeads * SHAPE.headDim * SHAPE.layers * 4;

interface Case {
  readonly name: string;
  readonly prefill: Partial<Mesh>;
  readonly decode: Partial<Mesh>;
  /** Decode has devices of its own: only KV moves. */
  readonly disjoint?: boolean;
}

const CASES: readonly Case[] = [
  { name: 'pp4<->tp4', prefill: { pp: 4 }, decode: { tp: 4 } },
  { name: 'pp2tp2<->tp4', prefill: { pp: 2, tp: 2 }, decode: { tp: 4 } },
  { name: 'tp2<->tp4', prefill: { tp: 2 }, decode: { tp: 4 } },
  { name: 'pp4<->dp2tp2', prefill: { pp: 4 }, decode: { dp: 2, tp: 2 } },
  { name: 'pp4->dp2tp2-disjoint', prefill: { pp: 4 }, decode: { dp: 2, tp: 2 }, disjoint: true },
];

interface Measured {
  readonly stats: EngineStats;
  /** Wall seconds of the batch. */
  readonly seconds: number;
}

/** Runs the cases with these names, or all, and prints a few lines for each to stdout. */
export async function benchReshard(args: readonly string[]): Promise<void> {
  const movesOnly = args.includes('--moves');
  const names = args.filter((arg) => arg !== '--moves');
  const unknown = names.filter((name) => !CASES.some((each) => each.name === name));
  if (unknown.length > 0) throw new Error(`no case ${unknown.join(', ')}`);
  for (const each of CASES.filter(({ name }) => names.length === 0 || names.includes(name))) {
    const compiled = compileCase(each);
    const rates =
      each.disjoint === true ? undefined : await measureMoves(compiled.runtime, ['prefill', 'decode']);
    if (movesOnly) {
      if (rates !== undefined) console.log(`${each.name}: ${describeRates(rates)}`);
      continue;
    }
    const dataflow = await measure(compiled, 'dataflow');
    const barrier = await measure(compiled, 'barrier');
    for (const line of describe(each, compiled, rates, dataflow, barrier)) console.log(line);
  }
}

function compileCase({ prefill, decode, disjoint }: Case): CompileResult {
  const devices = (mesh: Partial<Mesh>): number => (mesh.dp ?? 1) * (mesh.pp ?? 1) * (mesh.tp ?? 1);
  const first = disjoint === true ? devices(prefill) : 0;
  const sizes = { microbatchTokens: 96, batchRequests: BATCH };
  const plan = makePlan({
    shape: SHAPE,
    stages: [
      { name: 'prefill', mesh: prefill, ...sizes },
      {
        name: 'decode',
        mesh: decode,
        devices: Array.from({ length: devices(decode) }, (_, i) => first + i),
        ...sizes,
      },
    ],
    kv: { hostCapacity: HOST_BYTES },
  });
  const compiled = compilePlan(plan);
  const error = compiled.diagnostics.find(({ severity }) => severity === 'error');
  if (error !== undefined) throw new Error(error.message);
  return compiled;
}

async function measure({ runtime }: CompileResult, transitions: TransitionMode): Promise<Measured> {
  const engine = await openEngine(runtime, { transitions });
  try {
    const size = { promptTokens: PROMPT_TOKENS, newTokens: NEW_TOKENS };
    submitRequests(engine, SHAPE.vocab, Array<RequestSize>(REQUESTS).fill(size));
    const began = performance.now();
    await engine.run();
    const seconds = (performance.now() - began) / 1000;
    return { stats: engine.stats(), seconds };
  } finally {
    await engine.dispose();
  }
}

function describe(
  { name }: Case,
  { transitions }: CompileResult,
  rates: MoveRates | undefined,
  dataflow: Measured,
  barrier: Measured,
): string[] {
  const { stats } = barrier;
  const bound = (from: string): number =>
    transitions.weights.find((reshard) => reshard.from === from)?.lowerBound ?? 0;
  // A batch begins with prefill, so switches to decode and back alternate.
  const there = Math.ceil(stats.transitions / 2);
  const least = there * bound('prefill') + (stats.transitions - there) * bound('decode');
  const mega = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const lines = [
    `${name}: ${stats.transitions} transitions, KV out ${mega(stats.bytes.kvOut)}, in ${mega(stats.bytes.kvIn)}, ` +
      `batch ${dataflow.seconds.toFixed(2)} s with dataflow, ${barrier.seconds.toFixed(2)} s with barriers`,
  ];
  if (rates === undefined) return lines;
  const exposed = (run: Measured): number =>
    (run.stats.transitionExposedSeconds / run.stats.transitions) * 1000;
  return [
    ...lines,
    `  weights ${mega(stats.bytes.weights)}, lower bound ${mega(least)} (${(stats.bytes.weights / least).toFixed(3)}x)`,
    `  ${describeRates(rates)}`,
    `  exposed per transition ${exposed(dataflow).toFixed(1)} ms with dataflow (${dataflow.stats.transitions}), ` +
      `${exposed(barrier).toFixed(1)} ms with barriers (${(exposed(dataflow) / exposed(barrier)).toFixed(2)}x)`,
  ];
}

function describeRates({ moves, plain, ring }: MoveRates): string {
  const giga = (of: number): string => `${(of / 1e9).toFixed(2)} GB/s`;
  const percent = (part: number, of: number): string => `${((100 * part) / of).toFixed(0)}%`;
  const share = (of: Rate): string =>
    `${giga(of.wall)} (${percent(moves.wall, of.wall)}; ` +
    `${percent(moves.processor, of.processor)} by processor time)`;
  return (
    `moves alone ${giga(moves.wall)}, plain writes through Dawn's staging ${share(plain)}, ` +
    `unbroken through the ring ${share(ring)}`
  );
}

await benchReshard(process.argv.slice(2));
