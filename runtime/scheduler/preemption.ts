/**
 * Preemption: what a decoding sequence lacks is taken from the youngest idle sequence of its pool, never from an
 * older one. What the victim has computed goes to the host tier, if need be after others have gone from there to
 * disk, and is computed again only where no tier has room or loading it would take longer.
 */
import { pagesSeen } from '../../compiler/model/kv-window.js';
import { paysToLoad } from './costs.js';
import { countNeed } from './headroom.js';
import { leaveLane, recompute } from './holding.js';
import { pagesFor, setBatch, setState } from './machine.js';
import type { Machine, PoolReplica } from './machine.js';
import { startPageOuts } from './moves.js';
import type { Sequence } from './sequences.js';
import { holdsComputed } from './windows.js';

/**
 * Makes sure the sequence has pages for its first `tokens` tokens. False when it must sit this step out: pages are on
 * their way out, or only older sequences and sequences in work hold any.
 */
export function growTo(machine: Machine, sequence: Sequence, tokens: number): boolean {
  const lane = sequence.lane!;
  const { pool } = lane;
  while (sequence.pages.length < pagesFor(machine, tokens)) {
    const page = pool.pages.take(1);
    if (page !== undefined) {
      sequence.pages = sequence.pages.concat(page);
      if (sequence.state === 'running') countNeed(machine, lane, sequence);
      continue;
    }
    if (pool.memory.leaving > 0 || (sequence.state === 'running' && isLent(pool))) return false;
    const victim = youngestIdle(pool);
    if (victim === undefined || victim.order <= sequence.order) return false;
    preempt(machine, victim, pool);
  }
  return true;
}

/** Whether prompts of another pool, which will leave it when they are prefilled, hold pages that are the same. */
function isLent(pool: PoolReplica): boolean {
  return pool.memory.pools.some((other) => other !== pool && other.residents.size > 0);
}

function youngestIdle({ residents }: PoolReplica): Sequence | undefined {
  let youngest: Sequence | undefined;
  for (const sequence of residents) {
    const { state, stepsInFlight, order } = sequence;
    const idle = (state === 'running' || state === 'prefill') && stepsInFlight === 0;
    if (idle && (youngest === undefined || order > youngest.order)) youngest = sequence;
  }
  return youngest;
}

/** Takes its pages from an idle sequence: it goes on later. */
export function preempt(machine: Machine, victim: Sequence, pool: PoolReplica): void {
  const { computed } = victim;
  if (computed === 0 || !isKept(machine, victim)) {
    machine.dropped++;
    recompute(machine, victim);
    return;
  }
  victim.scheduled = computed;
  leaveLane(victim);
  setBatch(victim, undefined);
  pool.memory.leaving++;
  setState(machine, victim, 'preempted');
  machine.preempted.insert(victim);
  startPageOuts(machine);
}

/**
 * Whether the victim's KV fits the host tier, were that empty, and loading it pays. Host pages that a prompt holds to be
 * handed over are not for it.
 */
function isKept(machine: Machine, victim: Sequence): boolean {
  const { computed } = victim;
  const pages = pagesSeen(machine.config, computed);
  if (pages > machine.host.total || victim.hostPages.length > 0 || !holdsComputed(machine, victim))
    return false;
  if (paysToLoad(machine.costs, 'host', pages, computed)) return true;
  machine.passedOver.host++;
  return false;
}
