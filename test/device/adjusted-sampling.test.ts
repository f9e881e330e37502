/**
 * From logits to tokens on a device, against the f64 reference sampler: random logits over random splits of the
 * vocabulary, with everything a request may change about them.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { activationStride } from '../../compiler/ir/device-layout.js';
import type { SamplingParams } from '../../runtime/engine/types.js';
import { openDevices } from '../../runtime/device/dawn.js';
import type { Device } from '../../runtime/device/device.js';
import { openLogitAdjuster } from '../../runtime/exec/logit-adjuster.js';
import { SAMPLE_WORDS } from '../../runtime/kernels/kernel.js';
import { kernelVariants } from '../../runtime/kernels/library.js';
import { createLogitAdjuster } from '../../runtime/sampling/adjust.js';
import { choose, chooseFromLogits, sampleMode } from '../../runtime/sampling/choose.js';
import { packAdjustments } from '../../runtime/sampling/step-adjustments.js';
import { seededRandom } from '../fixtures/random.js';
import type { Random } from '../fixtures/random.js';
import { adjustedLogits, plainLogprob, scoredTokens } from '../reference/sampler.js';
import type { SamplerRequest } from '../reference/sampler.js';

const POSITION = 40;

interface Row {
  readonly logits: Float32Array;
  readonly request: SamplerRequest;
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
}

let device: Device;
beforeAll(async () => {
  [device] = (await openDevices(1, {})) as [Device];
});
afterAll(() => device.destroy());

/** A row whose request asks for anything at all, or for nothing. */
function arbitraryRow(random: Random, vocab: number): Row {
  const pick = <T>(...options: readonly T[]): T => options[random.below(options.length)]!;
  const ids = (count: number): number[] => Array.from({ length: count }, () => random.below(vocab));
  const allowed = pick(undefined, undefined, new Set(ids(1 + random.below(vocab))));
  return {
    logits: Float32Array.from({ length: vocab }, () => random.normal() * 3),
    prompt: ids(20),
    answer: ids(random.below(12)),
    request: {
      temperature: pick(0, 0.7, 1.4),
      topK: pick(0, 0, 1, 5, 80),
      topP: pick(1, 1, 0.8),
      minP: pick(0, 0, 0.05),
      seed: random.below(2 ** 31),
      frequencyPenalty: pick(0, 0.6, -1.1),
      presencePenalty: pick(0, 1.3, -0.4),
      repetitionPenalty: pick(1, 1, 1.25, 0.8),
      logitBias: new Map(ids(pick(0, 3)).map((id) => [id, pick(5, -100, 100, -2.5)])),
      minTokens: pick(0, 0, 6),
      endIds: ids(2),
      ...(allowed === undefined ? {} : { allowed }),
    },
  };
}

function maskOf(allowed: ReadonlySet<number>, vocab: number): Uint32Array {
  const words = new Uint32Array(Math.ceil(vocab / 32));
  for (const id of allowed) words[Math.floor(id / 32)]! |= 1 << (id % 32);
  return words;
}

function paramsOf(request: SamplerRequest): SamplingParams {
  return { ...request, logprobs: true, topLogprobs: 3 };
}

/** Tokens of the rows with the vocabulary dealt to `ranks` ranks that sample on one device. */
async function sampled(rows: readonly Row[], vocab: number, ranks: number, capacityRows: number) {
  const held = Math.ceil(vocab / ranks);
  const stride = activationStride(held);
  const adjusters = rows.map(({ request, prompt, answer }) => {
    const adjuster = createLogitAdjuster(
      { ...request, minTokens: { count: request.minTokens, ids: request.endIds } },
      prompt,
    );
    for (const id of answer) adjuster.push(id);
    return adjuster;
  });
  const args = new Uint32Array(rows.length * 8);
  rows.forEach(({ request }, row) => {
    args.set([row, sampleMode(paramsOf(request)), request.seed, POSITION], row * 8);
    new Float32Array(args.buffer)[row * 8 + 4] = request.temperature > 0 ? 1 / request.temperature : 1;
  });
  const samples = device.createBuffer('samples', args.byteLength);
  device.write(samples, 0, new Uint8Array(args.buffer));
  const turns = packAdjustments(
    rows.map(({ request: { allowed } }, row) => ({
      row,
      adjustments: adjusters[row]!.adjustments(),
      ...(allowed === undefined ? {} : { mask: maskOf(allowed, vocab) }),
    })),
    vocab,
    capacityRows * 4 * (1 + Math.ceil(vocab / 32)),
  );
  const parts = await Promise.all(
    Array.from({ length: ranks }, async (_, rank) => {
      const first = rank * held;
      const data = new Float32Array(rows.length * stride);
      rows.forEach(({ logits }, row) => data.set(logits.subarray(first, first + held), row * stride));
      const logits = device.createBuffer('logits', data.byteLength);
      device.write(logits, 0, new Uint8Array(data.buffer));
      const output = device.createBuffer('output', rows.length * SAMPLE_WORDS * 4);
      const params = { cols: held, stride, vocab };
      const adjuster = await openLogitAdjuster({
        device,
        library: kernelVariants,
        label: `rank ${rank}`,
        maxSequences: rows.length,
        vocab,
        vocabStart: first,
        params,
        samples: { buffer: samples },
        logits: { buffer: logits },
      });
      const step = { bytes: new Uint8Array(), rowCount: 0, tileCount: 0, tileRows: 1, copies: [] };
      adjuster.apply({ ...step, sampleCount: rows.length, adjustments: { turns, wantsPlain: true } });
      const [variant] = kernelVariants({ kernel: 'sample', params }, device.limits);
      const bound = device.bind(await device.createKernel(variant!), [
        { buffer: samples },
        { buffer: logits },
        { buffer: output },
      ]);
      device.record((commands) =>
        commands.dispatch(bound, Uint32Array.of(rows.length, first), variant!.grid(rows.length)),
      );
      const read = async (buffer: typeof logits): Promise<Uint8Array> =>
        (await device.read([{ buffer, offset: 0, bytes: buffer.bytes }]))[0]!;
      return {
        report: await read(output),
        plain: await read(adjuster.plainOutput),
        logits: new Float32Array((await read(logits)).buffer),
      };
    }),
  );
  return rows.map(({ request }, row) => {
    const full = new Float32Array(vocab);
    parts.forEach(({ logits }, rank) => {
      const count = Math.max(0, Math.min(held, vocab - rank * held));
      full.set(logits.subarray(row * stride, row * stride + count), rank * held);
    });
    const plain = { reports: parts.map((part) => part.plain), row, original: adjusters[row]!.original };
    const params = paramsOf(request);
    const reports = parts.map((part) => part.report);
    const token = choose(reports, row, params, POSITION, plain);
    if (token === 'not_finite') throw new Error('these logits are finite');
    return {
      token: token === 'needs_logits' ? chooseFromLogits(full, params, POSITION, plain) : token,
      adjusted: full,
    };
  });
}

describe('sampling of adjusted logits', () => {
  it.each([
    [1, 100],
    [2, 333],
    [4, 509],
    [8, 40],
  ])('%i ranks, %i ids: the token and log-probabilities of the reference', async (ranks, vocab) => {
    const random = seededRandom(ranks * vocab);
    const rows = Array.from({ length: 48 }, () => arbitraryRow(random, vocab));
    // Two rows of bitmaps at a time: most steps take several turns.
    const results = await sampled(rows, vocab, ranks, 2);
    let clear = 0;
    rows.forEach(({ logits, request, prompt, answer }, row) => {
      const { token, adjusted } = results[row]!;
      const expected = adjustedLogits(logits, request, prompt, answer);
      expected.forEach((value, id) => {
        if (value === -Infinity) expect(adjusted[id]).toBeLessThan(-1e29);
        else expect(Math.abs(adjusted[id]! - value)).toBeLessThan(1e-4);
      });
      const [best, second] = scoredTokens(expected, request, POSITION);
      expect(expected[token.id]).toBeGreaterThan(-Infinity);
      if (second === undefined || best!.score - second.score > 1e-3) {
        clear++;
        expect(token.id).toBe(best!.id);
      }
      expect(token.logprob).toBeCloseTo(plainLogprob(logits, token.id), 3);
      const ranked = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
      expect(token.top!.map(({ id }) => id)).toEqual(ranked.slice(0, 3));
      for (const { id, logprob } of token.top!) expect(logprob).toBeCloseTo(plainLogprob(logits, id), 4);
    });
    expect(clear).toBeGreaterThan(40);
  });
});
