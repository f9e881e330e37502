import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fileHost } from '../../../runtime/file-host.js';
import { checkFile } from '../../../compiler/check/check-file.js';
import { shapeFromConfig } from '../../../compiler/model/config.js';
import { RuntimeFailure } from '../../../runtime/failure.js';
import { readGgufHeader } from '../../../runtime/weights/gguf/header.js';
import { openModelDirectory, resolveModelDirectory } from '../../../runtime/weights/model-dir.js';
import { fileWeightSource } from '../../../runtime/weights/weight-source.js';
import { ggufBytes, writeGgufModel } from '../../fixtures/gguf-file.js';
import { writeRandomModel } from '../../fixtures/random-model.js';
import { referenceConfig } from '../../reference/config.js';
import { directoryTensors } from '../../reference/tensors.js';

const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-gguf-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const SHAPE = {
  seed: 3,
  layers: 2,
  hidden: 24,
  heads: 4,
  kvHeads: 2,
  headDim: 8,
  ffn: 20,
  vocab: 40,
  normEps: 2 ** -17,
};

function write(name: string, family: 'llama' | 'qwen2') {
  const dir = writeRandomModel(join(scratch, name), { ...SHAPE, family, attentionBias: family === 'llama' });
  const json = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as Record<string, unknown>;
  const path = join(dir, 'model.gguf');
  writeGgufModel(path, family, { ...referenceConfig(json), ropeTheta: 10000 }, directoryTensors(dir), 'f32');
  return { dir, path, json };
}

function failureOf(action: () => unknown): RuntimeFailure {
  try {
    action();
  } catch (error) {
    if (error instanceof RuntimeFailure) return error;
    throw error;
  }
  throw new Error('nothing failed');
}

describe('GGUF files', () => {
  it.each(['llama', 'qwen2'] as const)('are models like Hugging Face directories: %s', (family) => {
    const { dir, path, json } = write(family, family);
    const answer = fileHost().readModelConfig(join(dir, 'x.plan'), './model.gguf');
    expect(answer).toMatchObject({ kind: 'found', path, inMetadata: true });
    if (answer.kind !== 'found') return;
    expect(shapeFromConfig(answer.json)).toEqual(shapeFromConfig(json));

    const source = fileWeightSource(openModelDirectory(path).tensors);
    const reference = directoryTensors(dir);
    const names = [...openModelDirectory(dir).tensors.keys()];
    expect(names.length).toBeGreaterThan(20);
    for (const name of names) {
      const { shape, values } = reference(name)!;
      const [rows, cols] = shape.length === 1 ? [1, shape[0]!] : [shape[0]!, shape[1]!];
      // Cuts inside heads and rows, as re-shards may make them.
      const [top, left] = [Math.min(3, rows - 1), Math.min(5, cols - 1)];
      const read = source.read(name, [top, rows], [left, cols]);
      const found = new Float32Array(read.buffer, read.byteOffset, read.byteLength / 4);
      const wanted = [...values].filter((_, i) => Math.floor(i / cols) >= top && i % cols >= left);
      expect([...found], name).toEqual(wanted.map(Math.fround));
    }
    source.close();
  });

  it.each([
    [
      'gemma2',
      { sliding_window: 13, query_pre_attn_scalar: 8, attn_logit_softcapping: 4, final_logit_softcapping: 9 },
    ],
    ['gemma3', { sliding_window: 13, query_pre_attn_scalar: 8, rope_local_base_freq: 5000 }],
    ['phi3', { sliding_window: 13, partial_rotary_factor: 0.75, original_max_position_embeddings: 256 }],
  ] as const)(
    'of %s have names and norms of their own',
    (family, config: Readonly<Record<string, number>>) => {
      const dir = writeRandomModel(join(scratch, family), {
        ...SHAPE,
        family,
        tied: family !== 'phi3',
        config,
      });
      const json = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as Record<string, unknown>;
      const path = join(dir, 'model.gguf');
      const more = {
        'attention.sliding_window': 13,
        ...(family === 'gemma2' && { attn_logit_softcapping: 4.0001, final_logit_softcapping: 9.0001 }),
        ...(family === 'gemma3' && { 'rope.freq_base_swa': 5000 }),
        ...(family === 'phi3' && { 'rope.dimension_count': 6, 'rope.scaling.original_context_length': 256 }),
      };
      const written = { ...referenceConfig(json), ropeTheta: 10000 };
      writeGgufModel(path, family, written, directoryTensors(dir), 'f32', undefined, more);
      const { configJson, tensors } = openModelDirectory(path);
      const caps = ['attn_logit_softcapping', 'final_logit_softcapping'].filter((cap) => cap in config);
      for (const cap of caps) expect(configJson[cap]).toBeCloseTo(config[cap]!, 3);
      const capped = Object.fromEntries(caps.map((cap) => [cap, config[cap]]));
      expect(shapeFromConfig({ ...configJson, ...capped })).toEqual(shapeFromConfig(json));

      const source = fileWeightSource(tensors);
      const reference = directoryTensors(dir);
      for (const name of openModelDirectory(dir).tensors.keys()) {
        const { shape, values } = reference(name)!;
        const [rows, cols] = shape.length === 1 ? [1, shape[0]!] : [shape[0]!, shape[1]!];
        const read = source.read(name, [0, rows], [1, cols]);
        const found = new Float32Array(read.buffer, read.byteOffset, read.byteLength / 4);
        const wanted = [...values].filter((_, i) => i % cols >= 1);
        expect(found).toHaveLength(wanted.length);
        found.forEach((value, i) => expect(Math.abs(value - wanted[i]!), name).toBeLessThan(1e-6));
      }
      source.close();
    },
  );

  it('of Gemma are refused whose norms are no F32', () => {
    const path = join(scratch, 'norms.gguf');
    const norm = { name: 'output_norm.weight', shape: [2], type: 1, data: new Uint8Array(4) };
    writeFileSync(path, ggufBytes({ 'general.architecture': 'gemma2' }, [norm]));
    const failure = failureOf(() => openModelDirectory(path));
    expect(failure.message).toMatch('norm output_norm.weight is F16, not F32');
  });

  it('of Phi-3 that are older than the field for a window have that of their models', () => {
    const path = join(scratch, 'old-phi3.gguf');
    const windowOf = (metadata: Record<string, number>): unknown => {
      writeFileSync(path, ggufBytes({ 'general.architecture': 'phi3', ...metadata }, []));
      return openModelDirectory(path).configJson['sliding_window'];
    };
    expect(windowOf({ 'phi3.context_length': 4096 })).toBe(2047);
    expect(windowOf({ 'phi3.context_length': 131072 })).toBe(null);
    expect(windowOf({ 'phi3.context_length': 4096, 'phi3.attention.sliding_window': 0 })).toBe(null);
    expect(windowOf({ 'phi3.context_length': 131072, 'phi3.attention.sliding_window': 262144 })).toBe(262144);
  });

  it('say by their layers how the largest Gemma scales attention scores', () => {
    const path = join(scratch, 'largest.gguf');
    const scalarOf = (architecture: string, layers: number): unknown => {
      const sizes = {
        block_count: layers,
        embedding_length: 96,
        'attention.head_count': 4,
        'attention.key_length': 16,
      };
      const named = Object.entries(sizes).map(([key, value]) => [`${architecture}.${key}`, value]);
      writeFileSync(
        path,
        ggufBytes({ 'general.architecture': architecture, ...Object.fromEntries(named) }, []),
      );
      return openModelDirectory(path).configJson['query_pre_attn_scalar'];
    };
    expect([scalarOf('gemma2', 42), scalarOf('gemma2', 46)]).toEqual([16, 24]);
    expect([scalarOf('gemma3', 46), scalarOf('gemma3', 62)]).toEqual([16, 24]);
  });

  it('are what a diagnostic says that a size comes from', () => {
    const { dir } = write('cut heads', 'llama');
    const notesOf = (source: string): readonly string[] => {
      const text = `import { workstation } from "std/local"
model m { source: "${source}" }
plan p for m on workstation { stage s: prefill + decode on gpu { mesh (pp: 1, tp: 4) } }
`;
      const host = { ...fileHost(), readText: () => text };
      return checkFile(host, join(dir, 'x.plan')).diagnostics.flatMap(({ notes }) => notes);
    };
    expect(notesOf('./model.gguf')).toContain('kv_heads = 2, from the metadata of "./model.gguf"');
    expect(notesOf('.')).toContain('kv_heads = 2, from config.json of "."');
  });

  it('are refused at any length but their own', () => {
    const { path } = write('cut', 'llama');
    const bytes = readFileSync(path);
    const header = readGgufHeader(path);
    const dataStart = Math.min(...header.tensors.map(({ offset }) => offset));
    const cut = join(scratch, 'cut.gguf');
    for (let length = 0; length < dataStart; length += 7) {
      writeFileSync(cut, bytes.subarray(0, length));
      expect(failureOf(() => openModelDirectory(cut)).code).toBe('FC0911');
    }
    const last = header.tensors.at(-1)!;
    writeFileSync(cut, bytes.subarray(0, last.offset + last.bytes - 1));
    expect(failureOf(() => openModelDirectory(cut)).message).toMatch(`tensor ${last.name} ends at byte`);
  });

  const damages: readonly (readonly [string, (bytes: Buffer) => void, string])[] = [
    ['a tensor too few', (bytes) => bytes.writeBigUInt64LE(2n, 8), 'its tensors end at byte'],
    ['an alignment of 1', (bytes) => alignment(bytes, 1), '`general.alignment` is no positive multiple of 8'],
    ['an alignment of 3', (bytes) => alignment(bytes, 3), '`general.alignment` is no positive multiple of 8'],
    [
      'a smaller alignment',
      (bytes) => alignment(bytes, 8),
      'tensor c begins at byte 64 of the data, where 56',
    ],
    [
      'an overlap',
      (bytes) => offset(bytes, 'b', 0n),
      'tensor a begins at byte 0 of the data, where 32 is next',
    ],
    ['an odd offset', (bytes) => offset(bytes, 'b', 1n), 'tensor b begins at byte 1 of the data, where 32'],
    ['a gap', (bytes) => offset(bytes, 'c', 96n), 'tensor c begins at byte 96 of the data, where 64 is next'],
    ['a gap at the front', (bytes) => offset(bytes, 'a', 32n), 'of the data, where 0 is next'],
  ];
  /** Writes the alignment that the file says it has. */
  function alignment(bytes: Buffer, value: number): void {
    const key = 'general.alignment';
    bytes.writeUInt32LE(value, bytes.indexOf(key) + key.length + 4);
  }
  /** Writes where a vector's data are. */
  function offset(bytes: Buffer, name: string, value: bigint): void {
    bytes.writeBigUInt64LE(value, bytes.indexOf(`\u0001\0\0\0\0\0\0\0${name}`) + 9 + 4 + 8 + 4);
  }
  it.each(damages)('are refused where tensors do not fill the data: %s', (_, damage, message) => {
    const path = join(scratch, 'gaps.gguf');
    const vectors = [8, 5, 15].map((size, i) => ({ name: 'abc'[i]!, shape: [size], type: 0 }));
    const bytes = ggufBytes(
      { 'general.architecture': 'llama', 'general.alignment': 32 },
      vectors.map((vector) => ({ ...vector, data: new Uint8Array(vector.shape[0]! * 4) })),
    );
    writeFileSync(path, bytes);
    expect(openModelDirectory(path).tensors.size).toBe(3);
    // The padding behind the last tensor may be left out.
    writeFileSync(path, bytes.subarray(0, bytes.length - 4));
    expect(openModelDirectory(path).tensors.size).toBe(3);
    damage(bytes);
    writeFileSync(path, bytes);
    const failure = failureOf(() => openModelDirectory(path));
    expect(failure.code).toBe('FC0911');
    expect(failure.message).toMatch(message);
  });

  it('never crash, whatever a byte of their header is', () => {
    const { path } = write('flip', 'qwen2');
    const bytes = readFileSync(path);
    const flipped = join(scratch, 'flipped.gguf');
    let refused = 0;
    for (let at = 0; at < 1500; at += 5) {
      const damaged = Buffer.from(bytes);
      damaged[at] = damaged[at]! ^ 0xff;
      writeFileSync(flipped, damaged);
      try {
        openModelDirectory(flipped);
      } catch (error) {
        expect(error).toBeInstanceOf(RuntimeFailure);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(50);
  });

  it('are refused when they are something else, or hold what cannot be run', () => {
    const path = join(scratch, 'odd.gguf');
    writeFileSync(path, 'PK\u0003\u0004'.padEnd(64));
    expect(failureOf(() => openModelDirectory(path)).message).toMatch('this is no GGUF file');
    const missing = failureOf(() => resolveModelDirectory('./nowhere.gguf', path));
    expect(missing).toMatchObject({ code: 'FC0910' });

    const tensor = { name: 'token_embd.weight', shape: [2, 32], data: new Uint8Array(44) };
    writeFileSync(path, ggufBytes({ 'general.architecture': 'mamba' }, [{ ...tensor, type: 99 }]));
    expect(failureOf(() => openModelDirectory(path))).toMatchObject({ code: 'FC0913' });

    writeFileSync(path, ggufBytes({ 'general.architecture': 'mamba' }, [{ ...tensor, type: 6 }]));
    const { configJson, tensors } = openModelDirectory(path);
    expect(shapeFromConfig(configJson)).toMatchObject({
      kind: 'problems',
      problems: [{ kind: 'architecture', architecture: 'mamba' }],
    });
    const quantised = failureOf(() => fileWeightSource(tensors).tensor('model.embed_tokens.weight'));
    expect(quantised).toMatchObject({ code: 'FC0913' });
    expect(quantised.message).toMatch(
      'is Q5_0[2, 32]; weights must be F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q6_K',
    );
    writeFileSync(path, ggufBytes({}, []));
    expect(failureOf(() => openModelDirectory(path)).message).toMatch('`general.architecture`');
  });
});
