/**
 * Kernels that change logits in place before they are sampled: `adjust` changes single entries (biases, penalties),
 * `mask` rules out every id that a bitmap leaves out. Candidates, sums and maxima are taken afterwards, so they are exact
 * for the changed distribution on every rank, however the vocabulary is split. The entries are described in `kernel.ts`.
 */
import { activationStride } from '../../compiler/ir/device-layout.js';
import { ADJUST_WORDS, BANNED_LOGIT, maskWords } from './kernel.js';
import type { KernelRequest, KernelVariant } from './kernel.js';
import { ceilDiv, defineKernel, param, read, readWrite } from './wgsl.js';

const THREADS = 64;

/** (entries, logits), logits[row, id] = penalise(logits[row, id] + bias); immediates (entries, vocabStart). */
export function adjust({ params }: KernelRequest): readonly KernelVariant[] {
  const cols = param(params, 'cols');
  return [
    defineKernel({
      name: 'adjust',
      bindings: [read('entries', 'u32'), readWrite('logits', 'f32')],
      immediates: ['entries', 'vocabStart'],
      constants: [
        ['cols', 'u32', cols],
        ['stride', 'u32', activationStride(cols)],
        ['vocab', 'u32', param(params, 'vocab')],
      ],
      workgroup: [THREADS, 1, 1],
      grid: (entries) => [ceilDiv(entries, THREADS), 1, 1],
      body: `
  let entry = wg.x * ${THREADS}u + local.x;
  if (entry >= im.entries) { return; }
  let at = ${ADJUST_WORDS}u * entry;
  let id = entries[at + 1u];
  let column = id - im.vocabStart;
  if (id >= im.vocab || column >= im.cols) { return; }
  let place = entries[at] * im.stride + column;
  let biased = logits[place] + bitcast<f32>(entries[at + 2u]);
  let repetition = bitcast<f32>(entries[at + 3u]);
  let scaled = select(biased * repetition, biased / repetition, biased > 0f);
  logits[place] = scaled - bitcast<f32>(entries[at + 4u]);`,
    }),
  ];
}

/** (masks, logits); immediates (masked rows, vocabStart). */
export function mask({ params }: KernelRequest): readonly KernelVariant[] {
  const cols = param(params, 'cols');
  const vocab = param(params, 'vocab');
  return [
    defineKernel({
      name: 'mask',
      bindings: [read('masks', 'u32'), readWrite('logits', 'f32')],
      immediates: ['rows', 'vocabStart'],
      constants: [
        ['cols', 'u32', cols],
        ['stride', 'u32', activationStride(cols)],
        ['vocab', 'u32', vocab],
        ['words', 'u32', maskWords(vocab)],
      ],
      workgroup: [THREADS, 1, 1],
      grid: (rows) => [ceilDiv(cols, THREADS), rows, 1],
      body: `
  let column = wg.x * ${THREADS}u + local.x;
  let id = im.vocabStart + column;
  if (wg.y >= im.rows || column >= im.cols || id >= im.vocab) { return; }
  let at = im.words * wg.y;
  let allowed = (masks[at + 1u + id / 32u] >> (id % 32u)) & 1u;
  if (allowed == 0u) { logits[masks[at] * im.stride + column] = ${BANNED_LOGIT.toExponential()}f; }`,
    }),
  ];
}
