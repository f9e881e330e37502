/** Every kernel of the runtime graph in f64, as the comments of `compiler/ir/runtime-graph.ts` state it. */
import type { KernelOp, Operand, RopeTable } from '../../compiler/ir/runtime-program.js';
import type { OpenRank } from './interpreter-rank.js';

/** Radians per position of each rotary pair, by table. */
export type Frequencies = Readonly<Record<RopeTable, Float64Array>>;

type Kernel = (op: KernelOp, rank: OpenRank, frequencies: Frequencies) => void;

export const KERNELS: Readonly<Record<KernelOp['kernel'], Kernel>> = {
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
