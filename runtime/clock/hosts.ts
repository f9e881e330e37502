/**
 * The host processes of an engine, each of which prepares one step at a time. Fulcrum has one. Where every replica has its
 * own, stages that share devices have those in common, replica by replica, and stages on devices of their own have others.
 * The virtual engines of a replica share its host.
 *
 * Example: prefill (dp: 4) and decode (dp: 2) in turns on four devices have four hosts, of which two have decode as well.
 */
import type { EngineModel } from '../../compiler/cost/engine-model.js';
import { newHost, type Host } from '../../compiler/cost/host-queue.js';
import type { StageResidence } from '../../compiler/ir/residences.js';
import { once } from '../../compiler/once.js';

/** The host of a replica of a stage. */
export type HostOf = (stage: string, replica: number) => Host;

/** The hosts of an engine, by the device groups that stages stand on. */
export function createHosts(
  residences: ReadonlyMap<string, Pick<StageResidence, 'group'>>,
  { hostPerReplica }: EngineModel,
): HostOf {
  if (!hostPerReplica) {
    const host = newHost();
    return () => host;
  }
  const ofGroup = once((_group: string) => once((_replica: number) => newHost()));
  return (stage, replica) => ofGroup(residences.get(stage)!.group)(replica);
}
