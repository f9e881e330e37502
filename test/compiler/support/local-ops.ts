/**
 * The ops of the logical level in f64, as one rank computes them on its own parts. An op sees local tensors and local
 * sizes only, so a sharding that would need more than that gives wrong numbers instead of quietly right ones.
 */
import type { DimName } from '../../../compiler/ir/logical.js';
import type { ModelShape } from '../../../compiler/model/shape.js';
import { ropeFrequencies } from '../../reference/config.js';

/** Row-major, with named dimensions. */
export interface Tensor {
  readonly dims: readonly { readonly name: DimName; readonly size: number }[];
  readonly data: Float64Array;
}

/** K and V by sequence and position, each `[kv_heads of the rank, head_dim]`. */
export interface Pages {
  readonly kvHeads: number;
  readonly headDim: number;
  readonly tokens: ReadonlyMap<number, readonly { readonly k: Float64Array; readonly v: Float64Array }[]>;
}

export interface Row {
  readonly token: number;
  readonly sequence: number;
  readonly position: number;
}

export function tensor(dims: Tensor['dims'], data?: Float64Array): Tensor {
  return { dims, data: data ?? new Float64Array(dims.reduce((product, dim) => product * dim.size, 1)) };
}

export function extent(value: Tensor, dim: DimName): number {
  return value.dims.find((entry) => entry.name === dim)?.size ?? 1;
}

/** `table` holds the vocabulary from `vocabStart`; an id outside it gives zeros. */
export function embed(rows: readonly Row[], table: Tensor, vocabStart: number, scale: number): Tensor {
  const hidden = extent(table, 'hidden');
  const out = tensor([{ name: 'tokens', size: rows.length }, table.dims[1]!]);
  rows.forEach(({ token }, index) => {
    const at = (token - vocabStart) * hidden;
    if (at >= 0 && at < table.data.length) out.data.set(table.data.subarray(at, at + hidden), index * hidden);
  });
  return { ...out, data: out.data.map((value) => value * scale) };
}

/** RMS norm over the last dimension; `offset` is added to the gain. */
export function norm(x: Tensor, gain: Tensor, offset: number, eps: number): Tensor {
  const width = gain.data.length;
  const out = x.data.slice();
  for (let base = 0; base < out.length; base += width) {
    const row = out.subarray(base, base + width);
    const mean = row.reduce((sum, value) => sum + value * value, 0) / width;
    for (let i = 0; i < width; i++) row[i] = (row[i]! / Math.sqrt(mean + eps)) * (offset + gain.data[i]!);
  }
  return { dims: x.dims, data: out };
}

/** Contracts the dimensions that `x` and `weight` share by name. */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  const [rows, ...inner] = x.dims;
  const outer = weight.dims.filter((dim) => !inner.some((other) => other.name === dim.name));
  const k = inner.reduce((product, dim) => product * dim.size, 1);
  const n = outer.reduce((product, dim) => product * dim.size, 1);
  if (k * n !== weight.data.length) throw new Error('a linear on parts that do not fit');
  const out = tensor([rows!, ...outer]);
  for (let row = 0; row < rows!.size; row++) {
    for (let col = 0; col < n; col++) {
      let sum = bias ? bias.data[col]! : 0;
      for (let i = 0; i < k; i++) sum += x.data[row * k + i]! * weight.data[col * k + i]!;
      out.data[row * n + col] = sum;
    }
  }
  return out;
}

/** Rotated halves of the rotated dimensions, as Hugging Face has it. */
export function rope(x: Tensor, rows: readonly Row[], shape: ModelShape, theta: number): Tensor {
  const rotary = shape.rotaryDim ?? shape.headDim;
  const frequencies = ropeFrequencies(rotary, theta, {});
  const half = rotary / 2;
  const heads = x.data.length / rows.length / shape.headDim;
  const out = x.data.slice();
  rows.forEach(({ position }, row) => {
    for (let head = 0; head < heads; head++) {
      const base = (row * heads + head) * shape.headDim;
      for (let i = 0; i < half; i++) {
        const angle = position * frequencies[i]!;
        const [a, b] = [x.data[base + i]!, x.data[base + i + half]!];
        out[base + i] = a * Math.cos(angle) - b * Math.sin(angle);
        out[base + i + half] = b * Math.cos(angle) + a * Math.sin(angle);
      }
    }
  });
  return { dims: x.dims, data: out };
}

export function append(k: Tensor, v: Tensor, pages: Pages, rows: readonly Row[]): Pages {
  const width = pages.kvHeads * pages.headDim;
  if (k.data.length !== rows.length * width || v.data.length !== k.data.length)
    throw new Error('k and v do not fit the pages of the rank');
  const tokens = new Map(pages.tokens);
  rows.forEach(({ sequence, position }, row) => {
    const held = tokens.get(sequence) ?? [];
    if (held.length !== position) throw new Error('a sequence is appended out of order');
    const part = (value: Tensor): Float64Array => value.data.slice(row * width, (row + 1) * width);
    tokens.set(sequence, [...held, { k: part(k), v: part(v) }]);
  });
  return { ...pages, tokens };
}

export interface Scoring {
  readonly scale: number;
  readonly cap?: number;
  /** Positions that a row sees, its own included. */
  readonly window: number;
}

/** Which of the model's heads a rank's first query and kv heads are, and how many query heads read one kv head. */
export interface HeadPlace {
  readonly first: number;
  readonly firstKv: number;
  readonly perKvHead: number;
}

/** Causal attention; head `h` of the model reads kv head `floor(h / perKvHead)` of the model. */
export function attention(
  q: Tensor,
  pages: Pages,
  rows: readonly Row[],
  place: HeadPlace,
  scoring: Scoring,
): Tensor {
  const heads = extent(q, 'heads');
  const { kvHeads, headDim } = pages;
  const out = tensor(q.dims);
  rows.forEach(({ sequence, position }, row) => {
    const first = Math.max(0, position + 1 - scoring.window);
    const seen = pages.tokens.get(sequence)!.slice(first, position + 1);
    for (let head = 0; head < heads; head++) {
      const at = (row * heads + head) * headDim;
      const kvHead = Math.floor((place.first + head) / place.perKvHead) - place.firstKv;
      if (kvHead < 0 || kvHead >= kvHeads) throw new Error('the rank does not have the kv head of a query');
      const kv = kvHead * headDim;
      const scores = seen.map(({ k }) => {
        let dot = 0;
        for (let d = 0; d < headDim; d++) dot += q.data[at + d]! * k[kv + d]!;
        return Math.exp(cap(dot * scoring.scale, scoring.cap));
      });
      const total = scores.reduce((sum, score) => sum + score, 0);
      seen.forEach(({ v }, t) => {
        for (let d = 0; d < headDim; d++) out.data[at + d]! += (scores[t]! / total) * v[kv + d]!;
      });
    }
  });
  return out;
}

function cap(value: number, most: number | undefined): number {
  return most === undefined ? value : most * Math.tanh(value / most);
}

export function softCap(x: Tensor, most: number): Tensor {
  return { dims: x.dims, data: x.data.map((value) => cap(value, most)) };
}

/** GELU in its tanh form. */
export function geluMul(gate: Tensor, up: Tensor): Tensor {
  const gelu = (g: number): number =>
    0.5 * g * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (g + 0.044715 * g ** 3)));
  return { dims: gate.dims, data: gate.data.map((g, i) => gelu(g) * up.data[i]!) };
}

export function siluMul(gate: Tensor, up: Tensor): Tensor {
  return { dims: gate.dims, data: gate.data.map((g, i) => (g / (1 + Math.exp(-g))) * up.data[i]!) };
}

export function add(a: Tensor, b: Tensor): Tensor {
  if (a.data.length !== b.data.length) throw new Error('an add of parts that do not fit');
  return { dims: a.dims, data: a.data.map((value, i) => value + b.data[i]!) };
}

export function select(x: Tensor, samples: readonly number[]): Tensor {
  const width = x.data.length / extent(x, 'tokens');
  const out = tensor([{ name: 'samples', size: samples.length }, ...x.dims.slice(1)]);
  samples.forEach((row, index) =>
    out.data.set(x.data.subarray(row * width, (row + 1) * width), index * width),
  );
  return out;
}
