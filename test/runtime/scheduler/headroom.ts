/** That the sum of what decoding sequences need, which is kept up to date, is what a walk over them finds. */
import { leavesHeadroom } from '../../../runtime/scheduler/headroom.js';
import type { Machine } from '../../../runtime/scheduler/machine.js';
import type { Sequence } from '../../../runtime/scheduler/sequences.js';
import { pagesToCome } from '../../../runtime/scheduler/windows.js';
import { check } from './tracks.js';

/** Throws where a pool is said to leave room that the sequences in it do not, or none where they do. */
export function checkHeadroom(machine: Machine): void {
  for (const pool of machine.pools) {
    const residents = pool.memory.pools.flatMap((each) => [...each.residents]);
    const need = residents.reduce((sum, sequence) => sum + needOf(machine, sequence), 0);
    for (const pages of [need - 1, need - 0.25, need, need + 1])
      check(
        leavesHeadroom(machine, pool, pages) === pages >= need,
        `${need} pages are enough, and no fewer, not ${pages}`,
      );
  }
}

function needOf(machine: Machine, sequence: Sequence): number {
  const { pageTokens, window } = machine.config;
  const { state, pages, promptTokens, generated, maxNewTokens, computed } = sequence;
  if (state === 'prefill') return pagesToCome(machine, sequence.lane!, sequence);
  if (state !== 'running') return 0;
  if (pages.length * pageTokens < promptTokens + generated) return 1;
  const last = Math.ceil((promptTokens + maxNewTokens - 1) / pageTokens);
  // A row and what it sees lie in at most so many, from the first that the next row sees on.
  const spanned = window === undefined ? Infinity : Math.ceil((window - 1) / pageTokens) + 1;
  const first = window === undefined ? 0 : Math.floor(Math.max(0, computed + 1 - window) / pageTokens);
  return pages.length < Math.min(last, first + spanned) ? 0.25 : 0;
}
