import { describe, expect, it } from 'vitest';
import type { RuntimeWeight } from '../../../compiler/ir/runtime-graph.js';
import { placeWeights } from '../../../runtime/exec/weight-arena.js';
import { memoryDevice } from '../support/memory-device.js';

function weight(id: string, bytes: number): RuntimeWeight {
  return { id, dtype: 'f32', rows: 1, cols: bytes / 4, pieces: [], bytes };
}

/** Places of weights of these sizes on a device whose buffers are at most `maxBufferBytes`. */
function place(sizes: readonly number[], maxBufferBytes: number) {
  const device = memoryDevice();
  const limited = { ...device, limits: { ...device.limits, maxBufferBytes } };
  const weights = sizes.map((bytes, i) => weight(`w${i}`, bytes));
  return [
    ...placeWeights(limited, [{ name: 'stage', weights }], new Map())
      .get('stage')!
      .values(),
  ];
}

describe('the weight arena', () => {
  it('puts every weight at an aligned offset inside its buffer, whatever the largest buffer', () => {
    const cases = [
      { sizes: [1040, 528, 16, 1040, 64], maxBufferBytes: 1052 },
      { sizes: [272, 272, 272, 272], maxBufferBytes: 1000 },
      { sizes: [4112, 4112, 32], maxBufferBytes: 4112 },
    ];
    for (const { sizes, maxBufferBytes } of cases) {
      const places = place(sizes, maxBufferBytes);
      for (const { buffer, offset, bytes } of places) {
        expect(offset % 256).toBe(0);
        expect(offset + bytes).toBeLessThanOrEqual(buffer.bytes);
        expect(buffer.bytes).toBeLessThanOrEqual(maxBufferBytes);
      }
      for (const [i, a] of places.entries()) {
        for (const b of places.slice(i + 1)) {
          const apart = a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
          expect(a.buffer !== b.buffer || apart).toBe(true);
        }
      }
    }
  });
});
