import { moveBytesByDevice, packingBytes } from '../../../compiler/ir/page-packing.js';
import type { RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';

/** Bytes of a device that are taken however few pages there are: weights and workspace without what packing pages takes. */
export function fixedBytes({ devices, pools, hostTier }: RuntimeGraph, index = 0): number {
  const { id, peak } = devices[index]!;
  return peak.weights + peak.workspace - (hostTier ? packingBytes(moveBytesByDevice(pools).get(id)!) : 0);
}
