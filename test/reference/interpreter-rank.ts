/** What one rank has before it while a step is interpreted: arguments, slots, weights and pages. */
import { activationStride, weightLayout } from '../../compiler/ir/device-layout.js';
import type { RuntimeRank, RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type { Program } from '../../compiler/ir/runtime-program.js';
import type { OpenPool } from './interpreter-pages.js';
import type { WeightBuffers } from './runtime-weights.js';

/** One sequence's part of a step: tokens from position `start` on, and its pages in the stage's pool. */
export interface InterpreterItem {
  readonly tokens: readonly number[];
  readonly start: number;
  readonly pages: readonly number[];
}

export interface StepArguments {
  /** Token id, position, kv slot and page table start of each row. */
  readonly rows: readonly (readonly [token: number, position: number, slot: number, table: number])[];
  readonly table: readonly number[];
  readonly samples: readonly number[];
}

export function stepArguments(items: readonly InterpreterItem[], pageTokens: number): StepArguments {
  const rows: [number, number, number, number][] = [];
  const table: number[] = [];
  const samples: number[] = [];
  for (const { tokens, start, pages } of items) {
    const tableStart = table.length;
    table.push(...pages);
    tokens.forEach((token, index) => {
      const position = start + index;
      const slot = pages[Math.floor(position / pageTokens)]! * pageTokens + (position % pageTokens);
      rows.push([token, position, slot, tableStart]);
    });
    samples.push(rows.length - 1);
  }
  return { rows, table, samples };
}

export interface OpenRank {
  readonly rank: RuntimeRank;
  readonly args: StepArguments;
  readonly pool: OpenPool;
  readonly vector: (value: number, row: number) => Float64Array;
  readonly rowCount: (rows: 'tokens' | 'samples') => number;
  /** Row of a weight without its padding. */
  readonly weight: (id: string, row: number) => Float64Array;
}

export function openRank(
  stage: RuntimeStage,
  program: Program,
  rank: RuntimeRank,
  weights: WeightBuffers,
  pool: OpenPool,
  args: StepArguments,
): OpenRank {
  const slots = program.slots.map(({ bytes }) => new Float64Array(bytes / 4).fill(NaN));
  const shard = new Map(stage.shards[rank.shard]!.weights.map((weight) => [weight.id, weight]));
  return {
    rank,
    args,
    pool,
    rowCount: (rows) => (rows === 'tokens' ? args.rows.length : args.samples.length),
    vector(value, row) {
      const { slot, cols } = program.values[value]!;
      const stride = activationStride(cols);
      if ((row + 1) * stride > slots[slot]!.length)
        throw new Error(`row ${row} of value ${value} has no room`);
      return slots[slot]!.subarray(row * stride, row * stride + cols);
    },
    weight(id, row) {
      const weight = shard.get(id)!;
      const { stride } = weightLayout(weight);
      return weights.get(id)!.subarray(row * stride, row * stride + weight.cols);
    },
  };
}
