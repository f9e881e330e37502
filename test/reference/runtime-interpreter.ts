/**
 * Executes runtime graphs in plain f64, all ranks of a stage in turn: the meaning of every kernel as the comments of
 * `compiler/ir/runtime-graph.ts` state it, written for clarity. It finds what a lowering can get wrong:
 * - values live in their slots, so two values that share one wrongly destroy each other, and slots start as NaN;
 * - ops run in any order that `after` allows, chosen by the caller, so a missing wait shows;
 * - weights are the buffers that uploads and transitions left (`runtime-weights.ts`);
 * - KV lives in pages that start as NaN, and crosses stages only by the slices of the graph's edges.
 */
import {
  movesOfDevice,
  activationStride,
  weightLayout,
  type KernelOp,
  type KvPool,
  type Operand,
  type Program,
  type RopeTable,
  type RuntimeGraph,
  type RuntimeOp,
  type RuntimeRank,
  type RuntimeStage,
} from '../../compiler/ir/runtime-graph.js';
import { applyTransition, packShard, type ElementSource, type WeightBuffers } from './runtime-weights.js';

/** One sequence's part of a step: tokens from position `start` on, and its pages in the stage's pool. */
export interface InterpreterItem {
  readonly tokens: readonly number[];
  readonly start: number;
  readonly pages: readonly number[];
}

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

/** Radians per position of each rotary pair, by table. */
export type Frequencies = Readonly<Record<RopeTable, Float64Array>>;

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

// ------------------------------------------------------------------ pages

interface OpenPool {
  /** K and V of one token of one local head: `[2, head_dim]`. */
  readonly entry: (device: number, group: number, layer: number, head: number, slot: number) => Float64Array;
  /** Visits every (layer, head) of a slice of a page by its global name. */
  readonly forEach: (
    slice: { device: number; layers: readonly [number, number]; heads: readonly [number, number] },
    page: number,
    visit: (key: string, data: Float64Array) => void,
  ) => void;
}

function openPool(pool: KvPool, graph: RuntimeGraph): OpenPool {
  const { pageTokens } = graph.kv;
  const headSize = pageTokens * 2 * graph.model.shape.headDim;
  const entrySize = 2 * graph.model.shape.headDim;
  const ranks = new Map(
    pool.ranks.map((rank) => {
      const heads = rank.heads[1] - rank.heads[0];
      const buffers = rank.groups.map((group) =>
        new Float64Array(pool.pages * (group[1] - group[0]) * heads * headSize).fill(NaN),
      );
      return [rank.device, { ...rank, count: heads, buffers }];
    }),
  );
  const headAt = (device: number, group: number, page: number, layer: number, head: number): Float64Array => {
    const rank = ranks.get(device)!;
    const layers = rank.groups[group]![1] - rank.groups[group]![0];
    if (page >= pool.pages || layer >= layers || head >= rank.count) throw new Error('outside the pool');
    const at = ((page * layers + layer) * rank.count + head) * headSize;
    return rank.buffers[group]!.subarray(at, at + headSize);
  };
  return {
    entry(device, group, layer, head, slot) {
      const at = (slot % pageTokens) * entrySize;
      const data = headAt(device, group, Math.floor(slot / pageTokens), layer, head);
      return data.subarray(at, at + entrySize);
    },
    forEach({ device, layers, heads }, page, visit) {
      const rank = ranks.get(device)!;
      for (let layer = layers[0]; layer < layers[1]; layer++) {
        const group = rank.groups.findIndex(([start, end]) => start <= layer && layer < end);
        for (let head = heads[0]; head < heads[1]; head++) {
          const local = [layer - rank.groups[group]![0], head - rank.heads[0]] as const;
          visit(`layer ${layer} head ${head}`, headAt(device, group, page, ...local));
        }
      }
    },
  };
}

// --------------------------------------------------------------- programs

interface StepArguments {
  /** Token id, position, kv slot and page table start of each row. */
  readonly rows: readonly (readonly [token: number, position: number, slot: number, table: number])[];
  readonly table: readonly number[];
  readonly samples: readonly number[];
}

function stepArguments(items: readonly InterpreterItem[], pageTokens: number): StepArguments {
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

interface OpenRank {
  readonly rank: RuntimeRank;
  readonly args: StepArguments;
  readonly pool: OpenPool;
  readonly vector: (value: number, row: number) => Float64Array;
  readonly rowCount: (rows: 'tokens' | 'samples') => number;
  /** Row of a weight without its padding. */
  readonly weight: (id: string, row: number) => Float64Array;
}

function openRank(
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

// ---------------------------------------------------------------- kernels

type Kernel = (op: KernelOp, rank: OpenRank, frequencies: Frequencies) => void;

const KERNELS: Readonly<Record<KernelOp['kernel'], Kernel>> = {
  embed: (op, rank) => {
    const [, table, out] = op.operands as [Operand, WeightOperand, ValueOperand];
    const { vocabRows, split } = op.params as { vocabRows: number; split: number };
    const start = split ? rank.rank.tp * vocabRows : 0;
    rank.args.rows.forEach(([token], row) => {
      const local = token - start;
      const target = rank.vector(out.value, row);
      const scale = op.params['scale'] ?? 1;
      if (local >= 0 && local < vocabRows)
        target.set(rank.weight(table.weight, local).map((value) => value * scale));
      else target.fill(0);
    });
  },
  rms_norm: (op, rank) => {
    const [x, gain, out] = op.operands as [ValueOperand, WeightOperand, ValueOperand];
    rows(op, rank, (row) =>
      rmsNorm(rank.vector(x.value, row), rank.weight(gain.weight, 0), op, rank.vector(out.value, row)),
    );
  },
  add_rms_norm: (op, rank) => {
    const [x, delta, gain, out] = op.operands as [ValueOperand, ValueOperand, WeightOperand, ValueOperand];
    rows(op, rank, (row) => {
      const sum = rank.vector(x.value, row);
      accumulate(sum, rank.vector(delta.value, row));
      rmsNorm(sum, rank.weight(gain.weight, 0), op, rank.vector(out.value, row));
    });
  },
  add: (op, rank) => {
    const [x, delta] = op.operands as [ValueOperand, ValueOperand];
    rows(op, rank, (row) => accumulate(rank.vector(x.value, row), rank.vector(delta.value, row)));
  },
  matmul: (op, rank) => {
    const a = op.operands[0] as ValueOperand;
    const weight = op.operands[1] as WeightOperand;
    const bias = op.params['bias'] === 1 ? (op.operands[2] as WeightOperand) : undefined;
    const out = op.operands.at(-1) as ValueOperand;
    const added = bias && rank.weight(bias.weight, 0);
    rows(op, rank, (row) => {
      const input = rank.vector(a.value, row);
      const output = rank.vector(out.value, row);
      for (let n = 0; n < op.params['n']!; n++) {
        const column = rank.weight(weight.weight, n);
        output[n] = input.reduce((sum, x, k) => sum + x * column[k]!, added ? added[n]! : 0);
      }
    });
  },
  rope_append: (op, rank, frequencies) => {
    const { heads, kvHeads, headDim, layer, qkNorm } = op.params as Record<string, number> & AttentionParams;
    const { constant } = op.operands[1] as { readonly constant: RopeTable };
    const turn = (head: Float64Array, position: number): void =>
      rotate(
        head.subarray(0, op.params['rotary'] ?? headDim),
        position,
        frequencies[constant],
        op.params['amplitude'] ?? 1,
      );
    const [kv, qkv] = [...op.operands].reverse() as [KvOperand, ValueOperand];
    const norms = qkNorm === 1 ? (op.operands.slice(2, 4) as [WeightOperand, WeightOperand]) : undefined;
    rank.args.rows.forEach(([, position, slot], row) => {
      const all = rank.vector(qkv.value, row);
      const headAt = (index: number): Float64Array => all.subarray(index * headDim, (index + 1) * headDim);
      for (let head = 0; head < heads; head++) {
        if (norms) rmsNorm(headAt(head), rank.weight(norms[0].weight, 0), op, headAt(head));
        turn(headAt(head), position);
      }
      for (let head = 0; head < kvHeads; head++) {
        const key = headAt(heads + head).slice();
        if (norms) rmsNorm(key, rank.weight(norms[1].weight, 0), op, key);
        turn(key, position);
        const entry = rank.pool.entry(rank.rank.device, kv.kv, layer, head, slot);
        entry.set(key, 0);
        entry.set(headAt(heads + kvHeads + head), headDim);
      }
    });
  },
  attention: (op, rank) => {
    const { heads, kvHeads, headDim, pageTokens, layer, scale } = op.params as Record<string, number> &
      AttentionParams;
    const [out, kv, qkv] = [...op.operands].reverse() as [ValueOperand, KvOperand, ValueOperand];
    const { rowHeads, pageHeads } = op.params;
    const firstHead = rank.rank.tp * heads;
    rank.args.rows.forEach(([, position, , tableStart], row) => {
      const queries = rank.vector(qkv.value, row);
      const output = rank.vector(out.value, row);
      for (let head = 0; head < heads; head++) {
        const place = (rowHeads === undefined ? 0 : firstHead) + head;
        const query = queries.subarray(place * headDim, (place + 1) * headDim);
        const among = (pageHeads === undefined ? 0 : firstHead) + head;
        const kvHead = Math.floor((among * kvHeads) / (pageHeads ?? heads));
        const first = Math.max(0, position + 1 - (op.params['window'] ?? Infinity));
        const entries = Array.from({ length: position + 1 - first }, (_, index) => {
          const at = first + index;
          const page = rank.args.table[tableStart + Math.floor(at / pageTokens)]!;
          const slot = page * pageTokens + (at % pageTokens);
          return rank.pool.entry(rank.rank.device, kv.kv, layer, kvHead, slot);
        });
        const scores = entries.map((entry) =>
          capped(query.reduce((sum, q, i) => sum + q * entry[i]!, 0) * scale!, op.params['softcap']),
        );
        const top = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - top));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        for (let i = 0; i < headDim; i++) {
          const sum = entries.reduce((acc, entry, at) => acc + weights[at]! * entry[headDim + i]!, 0);
          output[head * headDim + i] = sum / total;
        }
      }
    });
  },
  silu_mul: (op, rank) => gated(op, rank, (x) => x / (1 + Math.exp(-x))),
  gelu_mul: (op, rank) =>
    gated(op, rank, (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))),
  soft_cap: (op, rank) => {
    const [x] = op.operands as [ValueOperand];
    rows(op, rank, (row) => {
      const vector = rank.vector(x.value, row);
      vector.set(vector.map((value) => capped(value, op.params['cap'])));
    });
  },
  gather_rows: (op, rank) => {
    const [, x, out] = op.operands as [Operand, ValueOperand, ValueOperand];
    rank.args.samples.forEach((row, sample) => rank.vector(out.value, sample).set(rank.vector(x.value, row)));
  },
};

interface ValueOperand {
  readonly value: number;
}
interface WeightOperand {
  readonly weight: string;
}
interface KvOperand {
  readonly kv: number;
}
interface AttentionParams {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly pageTokens: number;
  readonly layer: number;
}

function rows(op: KernelOp, rank: OpenRank, visit: (row: number) => void): void {
  for (let row = 0; row < rank.rowCount(op.rows); row++) visit(row);
}

function gated(op: KernelOp, rank: OpenRank, act: (x: number) => number): void {
  const [gateUp, out] = op.operands as [ValueOperand, ValueOperand];
  const cols = op.params['cols']!;
  rows(op, rank, (row) => {
    const input = rank.vector(gateUp.value, row);
    const output = rank.vector(out.value, row);
    for (let i = 0; i < cols; i++) output[i] = act(input[i]!) * input[cols + i]!;
  });
}

function capped(value: number, cap: number | undefined): number {
  return cap === undefined ? value : cap * Math.tanh(value / cap);
}

function accumulate(x: Float64Array, delta: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i]! += delta[i]!;
}

function rmsNorm(x: Float64Array, gain: Float64Array, op: KernelOp, out: Float64Array): void {
  const squares = x.reduce((sum, value) => sum + value * value, 0);
  const scale = 1 / Math.sqrt(squares / x.length + op.params['eps']!);
  for (let i = 0; i < x.length; i++) out[i] = x[i]! * scale * (gain[i]! + (op.params['offset'] ?? 0));
}

/** Rotates pairs (i, i + half) of a head by the angle of its position. */
function rotate(head: Float64Array, position: number, frequencies: Float64Array, amplitude: number): void {
  const half = head.length / 2;
  for (let i = 0; i < half; i++) {
    const cos = amplitude * Math.cos(position * frequencies[i]!);
    const sin = amplitude * Math.sin(position * frequencies[i]!);
    const [a, b] = [head[i]!, head[i + half]!];
    head[i] = a * cos - b * sin;
    head[i + half] = b * cos + a * sin;
  }
}
