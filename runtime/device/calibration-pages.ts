/** What KV pages take from a device to the host tier and back, moved as runs move them. */
import type { KvPool } from '../../compiler/ir/runtime-graph.js';
import { createHostPages } from '../kv/host-pages.js';
import { createPagePool, openPoolStaging } from '../kv/pool.js';
import { fitLine, type MeasuredExchange } from './calibration-exchanges.js';
import { typical } from './calibration-rounds.js';
import type { Device } from './device.js';

/** Seconds and bytes of a move, not of an exchange. */
export type MeasuredMove = Omit<MeasuredExchange, 'devices'>;

export interface MeasuredPages {
  readonly out: MeasuredMove;
  readonly in: MeasuredMove;
}

/** Pages of moves: from those of a short prompt to a chunk's worth. */
const COUNTS = [2, 8, 32, 128];
const MOST = COUNTS.at(-1)!;
/** Pages of 16 tokens of a small model. */
const [LAYERS, HEADS, HEAD_BYTES] = [4, 4, 2048] as const;
const PAGE_BYTES = LAYERS * HEADS * HEAD_BYTES;

const POOL: KvPool = {
  id: 'calibration',
  stages: [],
  pages: MOST,
  ranks: [
    {
      device: 0,
      dp: 0,
      layers: [0, LAYERS],
      heads: [0, HEADS],
      groups: [[0, LAYERS]],
      pageBytes: PAGE_BYTES,
    },
  ],
};

export async function measurePages(device: Device, roundSeconds: number): Promise<MeasuredPages> {
  const host = createHostPages(MOST, { layers: LAYERS, heads: HEADS, headBytes: HEAD_BYTES });
  const staging = await openPoolStaging([POOL], new Map([[0, device]]), true);
  const pool = createPagePool(POOL, HEAD_BYTES, staging, host);
  const measure = async (move: (pages: readonly number[]) => Promise<unknown>): Promise<MeasuredMove> => {
    const times: { bytes: number; seconds: number }[] = [];
    for (const count of COUNTS) {
      const pages = Array.from({ length: count }, (_, page) => page);
      times.push({ bytes: count * PAGE_BYTES, seconds: await typical(() => move(pages), roundSeconds) });
    }
    return fitLine(times);
  };
  try {
    const out = await measure((pages) => pool.pageOut(0, pages, pages));
    const back = await measure(async (pages) => {
      await pool.pageIn(0, pages, pages);
      await device.idle();
    });
    return { out, in: back };
  } finally {
    pool.free();
    for (const each of staging.values()) each.free();
  }
}
