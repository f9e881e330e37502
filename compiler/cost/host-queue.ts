/** Hosts that prepare steps, one after the other in the order in which they are asked for: on the clock and in estimates. */

/** A host, which prepares the steps of one replica or of several. */
export interface Host {
  /** Seconds at which it has prepared all steps so far. */
  prepared: number;
}

/** A host that has prepared nothing yet. */
export function newHost(): Host {
  return { prepared: 0 };
}

/**
 * Has a host prepare a step that is asked for at `at`. Returns when that is done.
 *
 * @param step seconds that it takes
 * @param requests seconds that the requests of the step take besides, where they are not in `step`
 */
export function prepare(host: Host, at: number, step: number, requests = 0): number {
  return (host.prepared = Math.max(at, host.prepared) + step + requests);
}
