/**
 * A graph for a backend without a road between devices. In one process Dawn moves bytes from device to device only by
 * way of host memory, at a fraction of the speed of an upload, and host memory has a copy of every weight: what a
 * transition would take from another device is uploaded instead.
 */
import type { DeviceMoves, RuntimeGraph } from '../../compiler/ir/runtime-graph.js';

/** The same graph with every received piece among the uploads. */
export function withoutPeers(graph: RuntimeGraph): RuntimeGraph {
  return {
    ...graph,
    transitions: graph.transitions.map((transition) => ({
      ...transition,
      moves: transition.moves.map(uploadReceived),
      devices: transition.devices.map((entry) => ({ ...entry, peers: [] })),
    })),
  };
}

function uploadReceived({ receive, receiveBytes = 0, ...moves }: DeviceMoves): DeviceMoves {
  if (receive === undefined) return moves;
  const pieces = new Map(moves.upload.map((upload) => [upload.weight, [...upload.pieces]]));
  for (const { weight, piece } of receive) {
    const mine = pieces.get(weight) ?? [];
    if (!mine.includes(piece)) mine.push(piece);
    pieces.set(weight, mine);
  }
  return {
    ...moves,
    upload: [...pieces].map(([weight, indices]) => ({ weight, pieces: indices.sort((a, b) => a - b) })),
    uploadBytes: moves.uploadBytes + receiveBytes,
  };
}
