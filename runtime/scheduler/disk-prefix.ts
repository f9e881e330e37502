/**
 * Beginnings of prompts that are on disk alone, as those who computed them went there, and have left the devices and the
 * host tier since. A new sequence fetches such a beginning like KV of its own, and waits for its turn with that: as a half
 * sequence whose first half others have computed.
 */
import { paysToLoad } from './costs.js';
import type { Lane, Machine } from './machine.js';
import {
  claimCost,
  claimPages,
  devicePrefix,
  findPages,
  keysAt,
  positionsFrom,
  tierPrefix,
} from './prefix.js';
import type { Sequence } from './sequences.js';
import { fetchPages } from './tiers.js';

/**
 * Starts to fetch what the disk tier holds of a waiting sequence's prompt, where it is more than the devices and the
 * host tier hold and a load is quicker than computing it. `awaited`: part of it is on its way already.
 */
export function fetchPrefix(
  machine: Machine,
  lane: Lane,
  sequence: Sequence,
): 'nothing' | 'awaited' | 'started' {
  const { config, disk, host } = machine;
  if (config.diskPages === 0 || sequence.computed > 0) return 'nothing';
  const found = tierPrefix(machine, sequence, 'disk');
  const count = found.length;
  const nearer = Math.max(
    devicePrefix(machine, lane, sequence).length,
    tierPrefix(machine, sequence, 'host').length,
  );
  if (count <= nearer) return 'nothing';
  const tokens = count * config.pageTokens;
  if (!paysToLoad(machine.costs, 'disk', count, tokens)) {
    machine.passedOver.disk++;
    return 'nothing';
  }
  const isAwaited = keysAt(sequence, positionsFrom(nearer, count)).some((key) => host.awaited.has(key));
  if (isAwaited) return 'awaited';
  if (claimCost(host, findPages(sequence, host, count), count) > host.free()) return 'nothing';
  sequence.diskPages = claimPages(disk, found, count)!;
  sequence.computed = tokens;
  sequence.loaded.disk = (count - nearer) * config.pageTokens;
  fetchPages(machine, sequence);
  return 'started';
}
