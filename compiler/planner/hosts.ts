/** Hosts as courses have them: each prepares one step after the other, in the order in which they are asked for. */
import type { HostTimes } from './bounded-plan.js';

/** A host, which prepares the steps of one replica or of several. */
export interface Host {
  /** Seconds at which it has prepared all steps so far. */
  prepared: number;
}

/** A host that has prepared nothing yet. */
export function newHost(): Host {
  return { prepared: 0 };
}

/** The host of each of some replicas: one of its own, or the `shared` one. */
export function hostsOf(
  { hostPerReplica = false }: Pick<HostTimes, 'hostPerReplica'>,
  replicas: number,
  shared = newHost(),
): readonly Host[] {
  return Array.from({ length: replicas }, () => (hostPerReplica ? newHost() : shared));
}

/** Has a host prepare a step, for so many seconds, that is asked for at `at`. Returns when that is done. */
export function prepare(host: Host, at: number, seconds: number): number {
  return (host.prepared = Math.max(at, host.prepared) + seconds);
}
