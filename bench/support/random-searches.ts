/**
 * Searches over machines, models and workloads drawn at random: nothing that estimates were ever fitted to. They are written
 * as plan files, so that whatever a search does wrong can be looked at with the commands.
 */
import { checkFile } from '../../compiler/check/check-file.js';
import { oneFileHost } from '../../compiler/host.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { SizeChoices } from '../../compiler/planner/candidates.js';
import { sizeChoices } from '../../compiler/planner/size-choices.js';
import type { SimulatedRequest } from '../../runtime/clock/simulation.js';
import { seededRandom, type Random } from '../../test/fixtures/random.js';

/** How much memory devices have: little more than the weights take, or any. */
export type MemoryKind = 'tight' | 'any';

export interface RandomSearch {
  readonly memory: MemoryKind;
  /** The plan file. */
  readonly text: string;
  readonly plan: Plan;
  readonly requests: readonly SimulatedRequest[];
  readonly sizes: SizeChoices;
}

/** Layers, width and heads of models from 3 to 38 GB. */
const SHAPES = [
  { layers: 24, hidden: 2048, heads: 16, kvHeads: 16, ffn: 5632 },
  { layers: 32, hidden: 4096, heads: 32, kvHeads: 8, ffn: 14336 },
  { layers: 40, hidden: 5120, heads: 40, kvHeads: 40, ffn: 13824 },
  { layers: 48, hidden: 6144, heads: 48, kvHeads: 8, ffn: 16384 },
] as const;

const VOCAB = 32_000;
const CONTEXT = 8192;

/** Bytes of weights of 16 bits, about. */
function weightBytes({ layers, hidden, heads, kvHeads, ffn }: (typeof SHAPES)[number]): number {
  const attention = 2 * hidden * hidden * (1 + kvHeads / heads);
  return 2 * (layers * (attention + 3 * hidden * ffn) + 2 * VOCAB * hidden);
}

function oneOf<Each>(random: Random, all: readonly Each[]): Each {
  return all[random.below(all.length)]!;
}

/** Between two numbers above 0, any magnitude as likely. */
function between(random: Random, least: number, most: number): number {
  return least * (most / least) ** random.uniform();
}

/** Lengths about a mean: all alike, scattered evenly, or with a long tail. */
function lengths(random: Random, mean: number, count: number): readonly number[] {
  const spread = oneOf(random, [0, 0.5, 1]);
  return Array.from({ length: count }, () => {
    const factor = spread === 1 ? Math.exp(random.normal()) : 1 + spread * (2 * random.uniform() - 1);
    return Math.min(CONTEXT / 2 - 1, Math.max(1, Math.round(mean * factor)));
  });
}

/** The search of a seed: the same one wherever it is drawn. */
export function randomSearch(seed: number): RandomSearch {
  const random = seededRandom(seed);
  const devices = oneOf(random, [2, 4, 4, 8]);
  const shape = oneOf(random, SHAPES);
  const weights = weightBytes(shape);
  const memory: MemoryKind = oneOf(random, ['tight', 'any']);
  const perDevice =
    memory === 'tight'
      ? (weights / devices) * between(random, 1.3, 2.6) + 1e9
      : between(random, weights / devices + 4e9, 2.5 * weights + 8e9);
  const gigabytes = (bytes: number): string => `${(bytes / 1e9).toPrecision(4)} GB`;
  const speed = (least: number, most: number): string => `${gigabytes(between(random, least, most))}/s`;
  const bandwidth = between(random, 2e11, 4e12);
  const compute = bandwidth * between(random, 80, 500);
  const host = Math.max(weights / 4, 2 * devices * perDevice * random.uniform());
  const text = `language 1
device card {
  memory: ${gigabytes(perDevice)}
  largest_binding: ${gigabytes(perDevice)}
  bandwidth: ${gigabytes(bandwidth)}/s
  compute: { f16: ${(compute / 1e12).toPrecision(4)} TFLOPS, f32: ${(compute / 4e12).toPrecision(4)} TFLOPS }
  sustained: { compute: ${30 + random.below(60)}%, bandwidth: ${60 + random.below(35)}% }
}
topology machine {
  gpu[${devices}]: card
  tier host { capacity: ${gigabytes(host)} }
  link gpu <-> gpu { bandwidth: ${speed(2e9, 4e11)}, latency: ${oneOf(random, [3, 10, 30])} us }
  link gpu <-> host { bandwidth: ${speed(8e9, 6e10)}, latency: 10 us }
  overhead { step: ${oneOf(random, [0, 1, 5])} ms, layer: ${oneOf(random, [0, 10, 30])} us, request: ${oneOf(random, [0, 4])} us }
}
model decoder {
  family: llama
  layers: ${shape.layers}, hidden: ${shape.hidden}, heads: ${shape.heads}, kv_heads: ${shape.kvHeads}
  ffn: ${shape.ffn}, vocab: ${VOCAB}, context: ${CONTEXT}
  weights: f16
}
workload w { requests: 1, prompt: 16 tokens, output: 16 tokens }
plan drawn for decoder on machine {
  stage serve: prefill + decode on gpu { mesh (pp: ${devices}), microbatch: 2048 tokens, batch: 64 requests }
  kv { page: 16 tokens, dtype: f16, tiers: gpu -> host }
  flow requests -> serve -> results
}
`;
  const count = 40 + random.below(61);
  const prompts = lengths(random, between(random, 100, 3000), count);
  const outputs = lengths(random, between(random, 20, 400), count);
  const requests = prompts.map((promptTokens, id) => ({ promptTokens, outputTokens: outputs[id]! }));
  const plan = planOf(text);
  return { memory, text, plan, requests, sizes: sizeChoices(plan, requests) };
}

/** The plan of a file in memory. Throws where it is not sound: what is drawn should be. */
function planOf(text: string): Plan {
  const { plans, diagnostics } = checkFile(oneFileHost('drawn.plan', text), 'drawn.plan');
  const [plan] = plans;
  if (plan === undefined) throw new Error(`${diagnostics.map(({ message }) => message).join('\n')}\n${text}`);
  return plan;
}
