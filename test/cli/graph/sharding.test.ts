/** Shardings in every format: what lies on `tp` besides kv heads, and in which layers otherwise. */
import { describe, expect, it } from 'vitest';
import { drawLevel, GRAPH_FORMATS } from '../../../cli/graph/draw.js';
import { compileText, pod } from './support.js';

describe('a sharding', () => {
  it.each(GRAPH_FORMATS)('says as %s what is split over tp, and which layers are not', (format) => {
    const decode = 'stage decode on node.gpu { mesh (dp: fill, tp: 8), batch: 64 requests';
    const draw = (more: string): string => {
      const text = pod(1).replace(decode, `${decode}${more}`);
      expect(text).toContain(more);
      const { plan, compiled } = compileText(text.replace('pp: 4, tp: 2', 'pp: 8'), 'turns');
      return drawLevel('sharding', format, plan, compiled);
    };
    const [plain, other] = [draw(''), draw(', replicate vocab, override layers[0..1].mlp { replicate ffn }')];
    expect(plain.match(/[\w, ]* on tp/g)!.map((found) => found.trim())).toEqual([
      'heads, kv_heads, ffn, vocab on tp',
    ]);
    expect(other).toContain('heads, kv_heads, ffn on tp');
    expect(other).toContain('layers[0..1].mlp: nothing on tp');
  });
});
