/**
 * The independent reference: a plain f64 forward pass of a decoder, one token at a time with a KV cache. It shares no
 * code with the compiler or the runtime, so that agreement between the two means something. It follows the Hugging
 * Face modelling files: RMS norm, rotary embedding with rotated halves, grouped-query attention, gated MLP, and what
 * Gemma and Phi-3 do otherwise.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { referenceConfig, type ReferenceConfig } from './config.js';
import { directoryTensors, type ReferenceTensor, type TensorProvider } from './tensors.js';

export interface ReferenceModel {
  readonly config: ReferenceConfig;
  /** Logits after every position of `ids`. */
  readonly forward: (ids: readonly number[]) => Float64Array[];
  /** Logits after the last position only. */
  readonly firstLogits: (ids: readonly number[]) => Float64Array;
  /** Greedy continuation: at most `maxTokens` ids, a stop id included as the last one. */
  readonly greedy: (ids: readonly number[], maxTokens: number, stopIds: readonly number[]) => number[];
  /** As `greedy`, with the logits each id was chosen from. */
  readonly greedySteps: (
    ids: readonly number[],
    maxTokens: number,
    stopIds: readonly number[],
  ) => { readonly id: number; readonly logits: Float64Array }[];
}

/** A reference over a Hugging Face directory. */
export function referenceModel(dir: string): ReferenceModel {
  const config = referenceConfig(JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')));
  return referenceFromTensors(config, directoryTensors(dir));
}

/** A reference over any source of tensors. Biases and q/k norms apply where the source has them. */
export function referenceFromTensors(config: ReferenceConfig, tensors: TensorProvider): ReferenceModel {
  const weights = readWeights(config, tensors);
  const firstLogits = (ids: readonly number[]): Float64Array => {
    const session = openSession(config, weights, ids.length);
    ids.forEach((id) => session.push(id));
    return session.logits();
  };
  const greedySteps: ReferenceModel['greedySteps'] = (ids, maxTokens, stopIds) => {
    const session = openSession(config, weights, ids.length + maxTokens);
    ids.forEach((id) => session.push(id));
    const steps: { id: number; logits: Float64Array }[] = [];
    while (steps.length < maxTokens) {
      const logits = session.logits();
      const id = argmax(logits);
      steps.push({ id, logits });
      if (stopIds.includes(id)) break;
      session.push(id);
    }
    return steps;
  };
  return {
    config,
    firstLogits,
    greedySteps,
    greedy: (ids, maxTokens, stopIds) => greedySteps(ids, maxTokens, stopIds).map((step) => step.id),
    forward: (ids) => {
      const session = openSession(config, weights, ids.length);
      return ids.map((id) => {
        session.push(id);
        return session.logits();
      });
    },
  };
}

/** Index of the largest value; the lowest index among equals. */
export function argmax(values: Float64Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

interface Linear {
  readonly outputs: number;
  readonly inputs: number;
  readonly weight: Float64Array;
  readonly bias?: Float64Array;
}

interface Layer {
  readonly attentionNorm: Float64Array;
  readonly mlpNorm: Float64Array;
  readonly attentionPostNorm?: Float64Array;
  readonly mlpPostNorm?: Float64Array;
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly o: Linear;
  readonly qNorm?: Float64Array;
  readonly kNorm?: Float64Array;
  readonly gate: Linear;
  readonly up: Linear;
  readonly down: Linear;
}

interface Weights {
  readonly embedding: Float64Array;
  readonly layers: readonly Layer[];
  readonly norm: Float64Array;
  readonly head: Linear;
}

function readWeights(config: ReferenceConfig, tensors: TensorProvider): Weights {
  const { hidden, heads, kvHeads, headDim, ffn, vocab, gemma, fused } = config;
  const take = (name: string, shape: readonly number[]): Float64Array => {
    const tensor = tensors(name);
    if (!tensor) throw new Error(`reference: no tensor ${name}`);
    return shaped(name, tensor, shape);
  };
  const maybe = (name: string, shape: readonly number[]): Float64Array | undefined => {
    const tensor = tensors(name);
    return tensor && shaped(name, tensor, shape);
  };
  const linear = (name: string, outputs: number, inputs: number): Linear => ({
    outputs,
    inputs,
    weight: take(`${name}.weight`, [outputs, inputs]),
    bias: maybe(`${name}.bias`, [outputs]),
  });
  /** Parts of one tensor, one after the other by rows. */
  const stacked = (name: string, outputs: readonly number[]): Linear[] => {
    const whole = linear(
      name,
      outputs.reduce((sum, count) => sum + count),
      hidden,
    );
    let row = 0;
    return outputs.map((count) => {
      const weight = whole.weight.subarray(row * hidden, (row += count) * hidden);
      return { outputs: count, inputs: hidden, weight };
    });
  };
  const layer = (index: number): Layer => {
    const at = `model.layers.${index}`;
    const norm = (name: string): Float64Array => take(`${at}.${name}_layernorm.weight`, [hidden]);
    const [q, k, v] = fused
      ? stacked(`${at}.self_attn.qkv_proj`, [heads * headDim, kvHeads * headDim, kvHeads * headDim])
      : [
          linear(`${at}.self_attn.q_proj`, heads * headDim, hidden),
          linear(`${at}.self_attn.k_proj`, kvHeads * headDim, hidden),
          linear(`${at}.self_attn.v_proj`, kvHeads * headDim, hidden),
        ];
    const [gate, up] = fused
      ? stacked(`${at}.mlp.gate_up_proj`, [ffn, ffn])
      : [linear(`${at}.mlp.gate_proj`, ffn, hidden), linear(`${at}.mlp.up_proj`, ffn, hidden)];
    return {
      attentionNorm: norm('input'),
      ...(gemma
        ? {
            attentionPostNorm: norm('post_attention'),
            mlpNorm: norm('pre_feedforward'),
            mlpPostNorm: norm('post_feedforward'),
          }
        : { mlpNorm: norm('post_attention') }),
      q: q!,
      k: k!,
      v: v!,
      o: linear(`${at}.self_attn.o_proj`, hidden, heads * headDim),
      qNorm: maybe(`${at}.self_attn.q_norm.weight`, [headDim]),
      kNorm: maybe(`${at}.self_attn.k_norm.weight`, [headDim]),
      gate: gate!,
      up: up!,
      down: linear(`${at}.mlp.down_proj`, hidden, ffn),
    };
  };
  const embedding = take('model.embed_tokens.weight', [vocab, hidden]);
  return {
    embedding,
    layers: Array.from({ length: config.layers }, (_, index) => layer(index)),
    norm: take('model.norm.weight', [hidden]),
    head: config.tied
      ? { outputs: vocab, inputs: hidden, weight: embedding }
      : linear('lm_head', vocab, hidden),
  };
}

function shaped(name: string, tensor: ReferenceTensor, shape: readonly number[]): Float64Array {
  if (tensor.shape.join() !== shape.join()) {
    throw new Error(`reference: ${name} is [${tensor.shape.join()}], expected [${shape.join()}]`);
  }
  return tensor.values;
}

/** One sequence in flight: `push` runs a token through all layers, `logits` reads the head at the last position. */
function openSession(
  config: ReferenceConfig,
  weights: Weights,
  capacity: number,
): { push: (id: number) => void; logits: () => Float64Array } {
  const { hidden, heads, kvHeads, headDim, ffn, normEps, vocab } = config;
  const gainOffset = config.gemma ? 1 : 0;
  const act = ACTIVATIONS[config.activation ?? 'silu'];
  const kvWidth = kvHeads * headDim;
  const keys = weights.layers.map(() => new Float64Array(capacity * kvWidth));
  const values = weights.layers.map(() => new Float64Array(capacity * kvWidth));
  const x = new Float64Array(hidden);
  const normed = new Float64Array(hidden);
  const q = new Float64Array(heads * headDim);
  const k = new Float64Array(kvWidth);
  const v = new Float64Array(kvWidth);
  const attended = new Float64Array(heads * headDim);
  const added = new Float64Array(hidden);
  const gate = new Float64Array(ffn);
  const up = new Float64Array(ffn);
  const scores = new Float64Array(capacity);
  let length = 0;

  const norm = (input: Float64Array, gain: Float64Array, out: Float64Array): void =>
    rmsNorm(input, gain, gainOffset, normEps, out);

  const rotate = (vector: Float64Array, vectorHeads: number, local: boolean): void => {
    const frequencies = local ? config.localFrequencies! : config.frequencies;
    const factor = local ? 1 : (config.ropeFactor ?? 1);
    const half = frequencies.length;
    for (let i = 0; i < half; i++) {
      const cos = factor * Math.cos(length * frequencies[i]!);
      const sin = factor * Math.sin(length * frequencies[i]!);
      for (let head = 0; head < vectorHeads; head++) {
        const first = head * headDim + i;
        const a = vector[first]!;
        const b = vector[first + half]!;
        vector[first] = a * cos - b * sin;
        vector[first + half] = b * cos + a * sin;
      }
    }
  };

  const attend = (layerKeys: Float64Array, layerValues: Float64Array, first: number): void => {
    const scale = config.scoreScale ?? 1 / Math.sqrt(headDim);
    for (let head = 0; head < heads; head++) {
      const kvBase = Math.floor((head * kvHeads) / heads) * headDim;
      const qBase = head * headDim;
      let max = -Infinity;
      for (let t = first; t <= length; t++) {
        const base = t * kvWidth + kvBase;
        let dot = 0;
        for (let d = 0; d < headDim; d++) dot += q[qBase + d]! * layerKeys[base + d]!;
        scores[t] = capped(dot * scale, config.scoreCap);
        if (scores[t]! > max) max = scores[t]!;
      }
      let sum = 0;
      for (let t = first; t <= length; t++) sum += scores[t] = Math.exp(scores[t]! - max);
      attended.fill(0, qBase, qBase + headDim);
      for (let t = first; t <= length; t++) {
        const weight = scores[t]! / sum;
        const base = t * kvWidth + kvBase;
        for (let d = 0; d < headDim; d++) attended[qBase + d]! += weight * layerValues[base + d]!;
      }
    }
  };

  const push = (id: number): void => {
    if (length >= capacity) throw new Error('reference: sequence is longer than its session');
    if (!(id >= 0 && id < vocab)) throw new Error(`reference: no token ${id}`);
    x.set(weights.embedding.subarray(id * hidden, (id + 1) * hidden));
    if (config.gemma) for (let i = 0; i < hidden; i++) x[i]! *= Math.sqrt(hidden);
    weights.layers.forEach((layer, index) => {
      const slides = config.slidingLayers?.includes(index) ?? false;
      const local = slides && config.localFrequencies !== undefined;
      const first = slides ? Math.max(0, length + 1 - config.window!) : 0;
      norm(x, layer.attentionNorm, normed);
      apply(layer.q, normed, q);
      apply(layer.k, normed, k);
      apply(layer.v, normed, v);
      if (layer.qNorm) normHeads(q, layer.qNorm, gainOffset, normEps);
      if (layer.kNorm) normHeads(k, layer.kNorm, gainOffset, normEps);
      rotate(q, heads, local);
      rotate(k, kvHeads, local);
      keys[index]!.set(k, length * kvWidth);
      values[index]!.set(v, length * kvWidth);
      attend(keys[index]!, values[index]!, first);
      apply(layer.o, attended, added);
      if (layer.attentionPostNorm) norm(added, layer.attentionPostNorm, added);
      for (let i = 0; i < hidden; i++) x[i]! += added[i]!;
      norm(x, layer.mlpNorm, normed);
      apply(layer.gate, normed, gate);
      apply(layer.up, normed, up);
      for (let i = 0; i < ffn; i++) gate[i] = act(gate[i]!) * up[i]!;
      apply(layer.down, gate, added);
      if (layer.mlpPostNorm) norm(added, layer.mlpPostNorm, added);
      for (let i = 0; i < hidden; i++) x[i]! += added[i]!;
    });
    length++;
  };

  const logits = (): Float64Array => {
    norm(x, weights.norm, normed);
    const out = new Float64Array(vocab);
    apply(weights.head, normed, out);
    return out.map((logit) => capped(logit, config.logitCap));
  };
  return { push, logits };
}

/** `out = weight * x + bias`, four running sums so that additions do not wait for each other. */
function apply(linear: Linear, x: Float64Array, out: Float64Array): void {
  const { outputs, inputs, weight, bias } = linear;
  const even = inputs - (inputs % 4);
  for (let row = 0; row < outputs; row++) {
    const base = row * inputs;
    let s0 = bias ? bias[row]! : 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    for (let i = 0; i < even; i += 4) {
      s0 += weight[base + i]! * x[i]!;
      s1 += weight[base + i + 1]! * x[i + 1]!;
      s2 += weight[base + i + 2]! * x[i + 2]!;
      s3 += weight[base + i + 3]! * x[i + 3]!;
    }
    for (let i = even; i < inputs; i++) s0 += weight[base + i]! * x[i]!;
    out[row] = s0 + s1 + s2 + s3;
  }
}

const ACTIVATIONS = { silu, gelu_tanh: gelu };

function silu(value: number): number {
  return value / (1 + Math.exp(-value));
}

/** The tanh form. */
function gelu(value: number): number {
  return 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)));
}

function capped(value: number, cap: number | undefined): number {
  return cap === undefined ? value : cap * Math.tanh(value / cap);
}

function rmsNorm(x: Float64Array, gain: Float64Array, offset: number, eps: number, out: Float64Array): void {
  let squares = 0;
  for (let i = 0; i < x.length; i++) squares += x[i]! * x[i]!;
  const scale = 1 / Math.sqrt(squares / x.length + eps);
  for (let i = 0; i < x.length; i++) out[i] = x[i]! * scale * (offset + gain[i]!);
}

function normHeads(vector: Float64Array, gain: Float64Array, offset: number, eps: number): void {
  for (let base = 0; base < vector.length; base += gain.length) {
    const head = vector.subarray(base, base + gain.length);
    rmsNorm(head, gain, offset, eps, head);
  }
}
