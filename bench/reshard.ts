/**
 * What transitions cost on a model of 110 M parameters with random weights: for each pair of meshes the bytes moved
 * beside those predicted and the lower bound, the rate of the moves beside that of as many bytes written plainly
 * (`reshard-moves.ts`), and the time in which devices compute nothing, with dataflow and with barriers. All of a case is
 * measured in one run; software devices share the machine with everything else, so trust the ratios.
 *
 *   npm run bench:reshard -- [--moves] [--rounds=N] [case ...]
 */
import { compilePlan } from '../compiler/compile.js';
import type { CompileResult } from '../compiler/compile.js';
import type { WeightReshard } from '../compiler/ir/transitions.js';
import type { Mesh } from '../compiler/plan/plan.js';
import { openEngine } from '../runtime/engine/open.js';
import type { Engine, EngineStats } from '../runtime/engine/types.js';
import type { TransitionMode } from '../runtime/scheduler/types.js';
import { makePlan } from '../test/compiler/support/make-plan.js';
import { measureMoves } from './reshard-moves.js';
import type { MoveRates, Rate } from './reshard-moves.js';
import { asked, countAsked, pickNamed } from './support/arguments.js';
import { gigabytes, percentOf } from './support/figures.js';
import { submitRequests } from './support/requests.js';
import type { RequestSize } from './support/requests.js';
import { LLAMA_110M } from './support/shapes.js';

const SHAPE = { ...LLAMA_110M, context: 128 };
const REQUESTS = 8;
/** Batches of each kind that count. */
const ROUNDS = 4;
const ROUNDS_ARE = '--rounds=';
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

/** Batches with one kind of transitions. */
interface Measured {
  /** Of all batches. */
  readonly stats: EngineStats;
  /** Wall seconds of every batch but the first. */
  readonly seconds: readonly number[];
}

/**
 * Runs the cases with these names, or all, and prints a few lines for each to stdout. `--moves` leaves out the batches;
 * `--rounds=N` runs as many batches of each kind, beside one that warms up.
 */
export async function benchReshard(args: readonly string[]): Promise<void> {
  const movesOnly = args.includes('--moves');
  const counts = args.find((arg) => arg.startsWith(ROUNDS_ARE));
  const rounds =
    counts === undefined ? ROUNDS : asked('reshard', countAsked('--rounds', counts.slice(ROUNDS_ARE.length)));
  const cases = args.filter((arg) => arg !== '--moves' && arg !== counts);
  const all = CASES.map(({ name }) => name);
  const names = asked('reshard', pickNamed('case', all, cases));
  for (const each of CASES.filter(({ name }) => names.includes(name))) {
    const compiled = compileCase(each);
    const rates =
      each.disjoint === true ? undefined : await measureMoves(compiled.runtime, ['prefill', 'decode']);
    if (movesOnly) {
      if (rates !== undefined) console.log(`${each.name}: ${describeRates(rates)}`);
      continue;
    }
    const { dataflow, barrier } = await measureBatches(compiled, rounds);
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

/**
 * The same batch again and again, in turn with dataflow and with barriers, in both orders: what else the machine does
 * comes and goes, and then falls on both.
 */
async function measureBatches(
  { runtime }: CompileResult,
  rounds: number,
): Promise<Record<TransitionMode, Measured>> {
  const modes = ['dataflow', 'barrier'] as const;
  const engines: Record<TransitionMode, Engine> = {
    dataflow: await openEngine(runtime, { transitions: 'dataflow' }),
    barrier: await openEngine(runtime, { transitions: 'barrier' }),
  };
  const seconds: Record<TransitionMode, number[]> = { dataflow: [], barrier: [] };
  try {
    for (let round = 0; round <= rounds; round++) {
      for (const mode of round % 2 === 0 ? modes : modes.toReversed()) {
        const size = { promptTokens: PROMPT_TOKENS, newTokens: NEW_TOKENS };
        submitRequests(engines[mode], SHAPE.vocab, Array<RequestSize>(REQUESTS).fill(size));
        const began = performance.now();
        await engines[mode].run();
        if (round > 0) seconds[mode].push((performance.now() - began) / 1000);
      }
    }
    const of = (mode: TransitionMode): Measured => ({ stats: engines[mode].stats(), seconds: seconds[mode] });
    return { dataflow: of('dataflow'), barrier: of('barrier') };
  } finally {
    for (const mode of modes) await engines[mode].dispose();
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
  // The first batch begins with prefill, so switches to decode and back alternate.
  const there = Math.ceil(stats.transitions / 2);
  const ofAll = (bytesOf: (reshard: WeightReshard) => number): number =>
    transitions.weights.reduce(
      (sum, reshard) =>
        sum + bytesOf(reshard) * (reshard.from === 'prefill' ? there : stats.transitions - there),
      0,
    );
  const predicted = ofAll(({ bytes }) => bytes.upload + bytes.peer);
  const least = ofAll(({ lowerBound }) => lowerBound);
  const quotient = (of: number): string => `${(stats.bytes.weights / of).toFixed(3)}x`;
  const mega = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const lines = [
    `${name}: ${stats.transitions} transitions, KV out ${mega(stats.bytes.kvOut)}, in ${mega(stats.bytes.kvIn)}`,
    `  batch ${spread(dataflow)} with dataflow, ${spread(barrier)} with barriers; steps ` +
      `${JSON.stringify(dataflow.stats.steps)} and ${JSON.stringify(barrier.stats.steps)}`,
  ];
  if (rates === undefined) return lines;
  const exposed = (run: Measured): number =>
    (run.stats.transitionExposedSeconds / run.stats.transitions) * 1000;
  return [
    ...lines,
    `  weights ${mega(stats.bytes.weights)}, predicted ${mega(predicted)} (${quotient(predicted)}), ` +
      `lower bound ${mega(least)} (${quotient(least)})`,
    `  ${describeRates(rates)}`,
    `  exposed per transition ${exposed(dataflow).toFixed(1)} ms with dataflow (${dataflow.stats.transitions}), ` +
      `${exposed(barrier).toFixed(1)} ms with barriers (${(exposed(dataflow) / exposed(barrier)).toFixed(2)}x)`,
  ];
}

/** Median of the batches, and all of them. */
function spread({ seconds }: Measured): string {
  const sorted = seconds.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
  return `${median.toFixed(2)} s (${seconds.map((each) => each.toFixed(2)).join(', ')})`;
}

function describeRates({ moves, plain, ring }: MoveRates): string {
  const share = (of: Rate): string =>
    `${gigabytes(of.wall)} GB/s (${percentOf(moves.wall, of.wall)}; ` +
    `${percentOf(moves.processor, of.processor)} by processor time)`;
  return (
    `moves alone ${gigabytes(moves.wall)} GB/s, plain writes through Dawn's staging ${share(plain)}, ` +
    `unbroken through the ring ${share(ring)}`
  );
}

await benchReshard(process.argv.slice(2));
