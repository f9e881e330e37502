import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { RuntimeFailure } from '../../../runtime/failure.js';
import { openModelDirectory, resolveModelDirectory } from '../../../runtime/weights/model-dir.js';
import { readSafetensorsHeader } from '../../../runtime/weights/safetensors.js';
import { writeRandomModel } from '../../fixtures/random-model.js';
import { writeSafetensors } from '../../fixtures/safetensors-file.js';

const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-files-'));
afterAll(() => rmSync(scratch, { recursive: true }));
const shape = { seed: 1, layers: 2, hidden: 16, heads: 2, kvHeads: 1, ffn: 20, vocab: 40 };

function failureOf(action: () => unknown): RuntimeFailure {
  try {
    action();
  } catch (error) {
    if (error instanceof RuntimeFailure) return error;
    throw error;
  }
  throw new Error('nothing failed');
}

/** A safetensors file with this header and this much data. */
function rawFile(name: string, header: unknown, dataBytes: number): string {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const path = join(scratch, name);
  writeFileSync(path, Buffer.concat([length, json, Buffer.alloc(dataBytes)]));
  return path;
}

describe('safetensors header', () => {
  it('places every tensor of the file', () => {
    const path = join(scratch, 'good.safetensors');
    writeSafetensors(
      path,
      [
        { name: 'a', shape: [2, 3], values: [1, 2, 3, 4, 5, 6] },
        { name: 'b', shape: [2], values: [7, 8] },
      ],
      'f32',
    );
    const tensors = readSafetensorsHeader(path);
    expect([...tensors.keys()]).toEqual(['a', 'b']);
    const b = tensors.get('b')!;
    expect(b).toMatchObject({ dtype: 'F32', shape: [2], bytes: 8, file: path });
    expect(readFileSync(path).readFloatLE(b.offset + 4)).toBe(8);
  });

  const entry = (offsets: readonly number[], dims = [2], dtype = 'F32'): object => ({
    dtype,
    shape: dims,
    data_offsets: offsets,
  });
  it.each([
    ['not JSON', '{"a":', 8, /header is not JSON/],
    ['a list', '[]', 8, /not a JSON object/],
    ['no dtype', { a: { shape: [2], data_offsets: [0, 8] } }, 8, /tensor a has no dtype/],
    ['no shape', { a: { dtype: 'F32', data_offsets: [0, 8] } }, 8, /tensor a has no shape/],
    ['offsets reversed', { a: entry([8, 0]) }, 8, /tensor a has no valid data_offsets/],
    [
      'data cut off',
      { a: entry([0, 8]) },
      7,
      /tensor a ends at byte 8 of the data, the file has 7: it is truncated/,
    ],
    ['bytes against shape', { a: entry([0, 8], [3]) }, 8, /tensor a of F32\[3\] needs 12 bytes and has 8/],
    ['overlap', { a: entry([0, 8]), b: entry([4, 12]) }, 12, /tensors a and b overlap/],
  ])('refuses %s, naming file and tensor', (name, header, dataBytes, message) => {
    const path = rawFile(`${name}.safetensors`, header, dataBytes);
    const failure = failureOf(() => readSafetensorsHeader(path));
    expect(failure.code).toBe('FC0911');
    expect(failure.message).toMatch(message);
    expect(failure.message).toContain(path);
  });

  it('refuses empty, foreign and missing files', () => {
    const empty = join(scratch, 'empty.safetensors');
    writeFileSync(empty, '');
    expect(failureOf(() => readSafetensorsHeader(empty)).message).toMatch(/0 bytes, too few/);
    const foreign = join(scratch, 'foreign.safetensors');
    writeFileSync(foreign, Buffer.alloc(64, 0xff));
    expect(failureOf(() => readSafetensorsHeader(foreign)).message).toMatch(/no safetensors file/);
    const missing = failureOf(() => readSafetensorsHeader(join(scratch, 'none.safetensors')));
    expect(missing.code).toBe('FC0910');
  });
});

describe('model directory', () => {
  it('opens one file and several shards alike', () => {
    const one = openModelDirectory(writeRandomModel(join(scratch, 'one'), shape));
    const three = openModelDirectory(writeRandomModel(join(scratch, 'three'), { ...shape, shards: 3 }));
    expect([...three.tensors.keys()].sort()).toEqual([...one.tensors.keys()].sort());
    for (const [name, tensor] of one.tensors) expect(three.tensors.get(name)!.shape).toEqual(tensor.shape);
    expect(one.configJson['hidden_size']).toBe(16);
    expect(one.generationConfig['eos_token_id']).toBe(1);
  });

  it('names a truncated shard and a missing one', () => {
    const dir = writeRandomModel(join(scratch, 'short'), { ...shape, shards: 2 });
    const shard = join(dir, 'model-00002-of-00002.safetensors');
    truncateSync(shard, 3000);
    expect(failureOf(() => openModelDirectory(dir)).message).toContain(shard);
    rmSync(shard);
    const missing = failureOf(() => openModelDirectory(dir));
    expect(missing.code).toBe('FC0910');
    expect(missing.message).toContain(shard);
  });

  it('refuses an index that names a tensor its shard lacks, or a path outside', () => {
    const dir = writeRandomModel(join(scratch, 'index'), { ...shape, shards: 2 });
    const index = join(dir, 'model.safetensors.index.json');
    writeFileSync(index, JSON.stringify({ weight_map: { ghost: 'model-00001-of-00002.safetensors' } }));
    expect(failureOf(() => openModelDirectory(dir))).toMatchObject({
      code: 'FC0912',
      details: { subject: 'ghost' },
    });
    writeFileSync(index, JSON.stringify({ weight_map: { ghost: '../other.safetensors' } }));
    expect(failureOf(() => openModelDirectory(dir)).code).toBe('FC0911');
  });

  it('refuses directories in the place of files', () => {
    const dir = writeRandomModel(join(scratch, 'folders'), { ...shape, shards: 2 });
    const index = join(dir, 'model.safetensors.index.json');
    for (const name of ['.', '..']) {
      writeFileSync(index, JSON.stringify({ weight_map: { ghost: name } }));
      const failure = failureOf(() => openModelDirectory(dir));
      expect(failure.code).toBe('FC0911');
      expect(failure.message).toMatch(/gives no file name for tensor ghost/);
    }
    mkdirSync(join(dir, 'shard'));
    writeFileSync(index, JSON.stringify({ weight_map: { ghost: 'shard' } }));
    expect(failureOf(() => openModelDirectory(dir))).toMatchObject({
      code: 'FC0910',
      message: `cannot open ${join(dir, 'shard')}: it is not a file`,
    });
    mkdirSync(join(dir, 'model.safetensors'));
    expect(failureOf(() => openModelDirectory(dir))).toMatchObject({
      code: 'FC0910',
      message: `cannot open ${join(dir, 'model.safetensors')}: it is not a file`,
      details: { help: 'put the file of the model there' },
    });
  });

  it('refuses a directory without weights, and a broken config', () => {
    const dir = writeRandomModel(join(scratch, 'bare'), shape);
    rmSync(join(dir, 'model.safetensors'));
    expect(failureOf(() => openModelDirectory(dir)).message).toMatch(/neither model.safetensors nor/);
    writeFileSync(join(dir, 'config.json'), '{');
    expect(failureOf(() => openModelDirectory(dir)).message).toContain(join(dir, 'config.json'));
  });

  it('resolves paths against the plan file and hub names in the cache', () => {
    expect(resolveModelDirectory('./models/clerk', 'plans/clerk.plan')).toMatch(/plans\/models\/clerk$/);
    expect(failureOf(() => resolveModelDirectory('./nowhere', 'plans/clerk.plan')).code).toBe('FC0910');
    const before = process.env['FULCRUM_CACHE'];
    process.env['FULCRUM_CACHE'] = scratch;
    try {
      const missing = failureOf(() => resolveModelDirectory('hf:org/tiny'));
      expect(missing.details.help).toContain(join(scratch, 'models/org/tiny'));
      writeRandomModel(join(scratch, 'models/org/tiny'), shape);
      expect(resolveModelDirectory('hf:org/tiny')).toBe(join(scratch, 'models/org/tiny'));
      expect(failureOf(() => resolveModelDirectory('hf:../..')).code).toBe('FC0910');
    } finally {
      if (before === undefined) delete process.env['FULCRUM_CACHE'];
      else process.env['FULCRUM_CACHE'] = before;
    }
  });
});
