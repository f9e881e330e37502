/** Hosts of replicas, as courses have them. */
import { newHost, type Host } from '../cost/host-queue.js';
import type { HostTimes } from './bounded-plan.js';

/** The host of each of some replicas: one of its own, or the `shared` one. */
export function hostsOf(
  { hostPerReplica = false }: Pick<HostTimes, 'hostPerReplica'>,
  replicas: number,
  shared = newHost(),
): readonly Host[] {
  return Array.from({ length: replicas }, () => (hostPerReplica ? newHost() : shared));
}
