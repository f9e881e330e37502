/**
 * Executes runtime graphs in plain f64, all ranks of a stage in turn: the meaning of every kernel as the comments of
 * `compiler/ir/runtime-graph.ts` state it, written for clarity (`interpreter-kernels.ts`). It finds what a lowering can get wrong:
 * - values live in their slots, so two values that share one wrongly destroy each other, and slots start as NaN;
 * - ops run in any order that `after` allows, chosen by the caller, so a missing wait shows;
 * - weights are the buffers that uploads and transitions left (`runtime-weights.ts`);
 * - KV lives in pages that start as NaN (`interpreter-pages.ts`), and crosses stages only by the slices of the graph's edges.
 */
import { movesOfDevice, type RuntimeGraph, type RuntimeStage } from '../../compiler/ir/runtime-graph.js';
import type { Program, RuntimeOp } from '../../compiler/ir/runtime-program.js';
import { KERNELS, type Frequencies } from './interpreter-kernels.js';
import { openPool } from './interpreter-pages.js';
import { openRank, stepArguments, type InterpreterItem, type OpenRank } from './interpreter-rank.js';
import { applyTransition, packShard, type ElementSource, type WeightBuffers } from './runtime-weights.js';

export interface RuntimeInterpreter {
  /** Makes a stage's weights resident: by transition where its devices hold another stage's, else by upload. */
  readonly enter: (stage: string) => void;
  /** Runs a step of one replica; logits `[vocab]` after the last token of each item. */
  readonly step: (stage: string, replica: number, items: readonly InterpreterItem[]) => Float64Array[];
  /** Moves pages of a sequence over the edge between two stages. */
  readonly movePages: (
    from: { readonly stage: string; readonly replica: number; readonly pages: readonly number[] },
    to: { readonly stage: string; readonly replica: number; readonly pages: readonly number[] },
  ) => void;
}

/** `frequencies`: radians per position of each rotary pair. `shuffle` picks among `count` ready ops. */
export function interpretRuntime(
  graph: RuntimeGraph,
  source: ElementSource,
  frequencies: Frequencies,
  shuffle: (count: number) => number,
): RuntimeInterpreter {
  const resident = new Map<number, { readonly stage: string; readonly weights: WeightBuffers }>();
  const pools = new Map(graph.pools.map((pool) => [pool.id, openPool(pool, graph)]));
  const stageNamed = (name: string): RuntimeStage => graph.stages.find((stage) => stage.name === name)!;
  return {
    enter(name) {
      const stage = stageNamed(name);
      for (const rank of stage.ranks) {
        const shard = stage.shards[rank.shard]!;
        const now = resident.get(rank.device);
        const transition = graph.transitions.find(({ from, to }) => from === now?.stage && to === name);
        const moves = transition && movesOfDevice(transition, rank.device);
        // Without a transition the stages are resident together: what is there stays, under names of its own.
        const weights =
          now && moves
            ? applyTransition(now.weights, moves, shard, source)
            : new Map([...packShard(shard, source), ...(now?.weights ?? [])]);
        resident.set(rank.device, { stage: name, weights });
      }
    },
    step(name, replica, items) {
      const stage = stageNamed(name);
      const args = stepArguments(items, graph.kv.pageTokens);
      let received: Float64Array[] = [];
      for (const program of stage.programs) {
        const ranks = stage.ranks
          .filter((rank) => rank.dp === replica && rank.pp === program.pp)
          .map((rank) =>
            openRank(stage, program, rank, resident.get(rank.device)!.weights, pools.get(stage.pool)!, args),
          );
        received = runProgram(program, ranks, received, frequencies, shuffle);
      }
      return received;
    },
    movePages(from, to) {
      const edge = graph.kv.edges.find((entry) => entry.from === from.stage && entry.to === to.stage)!;
      const source = pools.get(stageNamed(from.stage).pool)!;
      const target = pools.get(stageNamed(to.stage).pool)!;
      from.pages.forEach((page, index) => {
        const neutral = new Map<string, Float64Array>();
        for (const slice of edge.pageOut.filter((entry) => entry.dp === from.replica)) {
          source.forEach(slice, page, (key, data) => {
            if (neutral.has(key)) throw new Error(`${key} pages out twice`);
            neutral.set(key, data.slice());
          });
        }
        for (const slice of edge.pageIn.filter((entry) => entry.dp === to.replica)) {
          target.forEach(slice, to.pages[index]!, (key, data) => data.set(neutral.get(key)!));
        }
      });
    },
  };
}

/** Runs the ops in an order that `after` allows; returns what is sent on, or the logits of the samples. */
function runProgram(
  program: Program,
  ranks: readonly OpenRank[],
  received: readonly Float64Array[],
  frequencies: Frequencies,
  shuffle: (count: number) => number,
): Float64Array[] {
  const done = new Set<number>();
  const sent: Float64Array[] = [];
  while (done.size < program.ops.length) {
    const ready = program.ops.filter((op) => !done.has(op.id) && op.after.every((wait) => done.has(wait)));
    const op = ready[shuffle(ready.length)]!;
    sent.push(...runOp(op, program, ranks, received, frequencies));
    done.add(op.id);
  }
  return sent;
}

function runOp(
  op: RuntimeOp,
  program: Program,
  ranks: readonly OpenRank[],
  received: readonly Float64Array[],
  frequencies: Frequencies,
): Float64Array[] {
  const rowCount = (value: number): number => ranks[0]!.rowCount(program.values[value]!.rows);
  const each = (value: number, visit: (row: number) => void): void => {
    for (let row = 0; row < rowCount(value); row++) visit(row);
  };
  switch (op.op) {
    case 'kernel':
      for (const rank of ranks) KERNELS[op.kernel](op, rank, frequencies);
      return [];
    case 'collective':
      each(op.value, (row) => {
        const parts = ranks.map((rank) => rank.vector(op.value, row));
        if (op.kind === 'all_gather') {
          const whole = parts.flatMap((part) => [...part]);
          for (const rank of ranks) rank.vector(op.out, row).set(whole);
          return;
        }
        const sum = parts[0]!.map((_, col) => parts.reduce((total, part) => total + part[col]!, 0));
        for (const part of parts) part.set(sum);
      });
      return [];
    case 'recv':
      each(op.value, (row) => {
        for (const rank of ranks) rank.vector(op.value, row).set(received[row]!);
      });
      return [];
    case 'send': {
      const sent: Float64Array[] = [];
      each(op.value, (row) => sent.push(ranks[0]!.vector(op.value, row).slice()));
      return sent;
    }
    case 'sample': {
      const logits: Float64Array[] = [];
      const holders = op.split === 'tp' ? ranks : ranks.slice(0, 1);
      each(op.logits, (row) => {
        const columns = holders.flatMap((rank) => [...rank.vector(op.logits, row)]);
        logits.push(Float64Array.from(columns.slice(0, op.vocab)));
      });
      return logits;
    }
  }
}
