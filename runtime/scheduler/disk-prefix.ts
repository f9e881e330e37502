/**
 * Beginnings of prompts that are on disk alone, as those who computed them went there, and have left the devices and the
 * host tier since. A new sequence fetches such a beginning like KV of its own, and waits for its turn with that: as a half
 * sequence whose first half others have computed.
 */
import { paysToLoad } from './costs.js';
import type { Lane, Machine } from './machine.js';
import { positionsToHandOver } from './lanes.js';
import { positionsFrom, union, withPages } from './page-table.js';
import { isAwaited } from './pages.js';
import { claimCost, claimPages, findPages, keysAt, runEnd, tierPrefix } from './prefix.js';
import type { PageRun } from './prefix.js';
import type { Sequence } from './sequences.js';
import { fetchPages } from './tiers.js';

/**
 * Starts to fetch what the disk tier holds of a waiting sequence's prompt, where it is more than the devices and the
 * host tier hold and a load is quicker than computing it. `awaited`: part of it is on its way already.
 *
 * @param prefix what of it is on the devices
 */
export function fetchPrefix(
  machine: Machine,
  lane: Lane,
  sequence: Sequence,
  prefix: PageRun,
): 'nothing' | 'awaited' | 'started' {
  const { config, disk, host } = machine;
  if (config.diskPages === 0 || sequence.computed > 0) return 'nothing';
  const found = tierPrefix(machine, sequence, 'disk');
  const end = runEnd(found);
  const nearer = Math.max(runEnd(prefix), runEnd(tierPrefix(machine, sequence, 'host')));
  if (end <= nearer) return 'nothing';
  const positions = positionsFrom(found.first, end);
  // It keeps them until the devices have them, and needs room for what it hands over then.
  if (union(positions, positionsToHandOver(machine, lane, sequence)).length > host.total) return 'nothing';
  const tokens = end * config.pageTokens;
  if (!paysToLoad(machine.costs, 'disk', positions.length, tokens)) {
    machine.passedOver.disk++;
    return 'nothing';
  }
  if (isAwaited(host, keysAt(sequence, positions))) return 'awaited';
  if (claimCost(host, findPages(sequence, host, positions)) > host.free()) return 'nothing';
  sequence.diskPages = withPages([], positions, claimPages(disk, found.pages)!);
  sequence.computed = tokens;
  sequence.loaded.disk = (end - nearer) * config.pageTokens;
  fetchPages(machine, sequence);
  return 'started';
}
