import { describe, expect, it } from 'vitest';
import type { DeviceMoves, RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';
import { withoutPeers } from '../../../runtime/engine/without-peers.js';

const plain: DeviceMoves = {
  keep: [{ weight: 'norm', old: 'norm' }],
  copy: [],
  upload: [{ weight: 'qkv', pieces: [2] }],
  evict: [],
  uploadBytes: 64,
};

const run = { at: 0, stride: 32, old: 'qkv', oldAt: 0, oldStride: 32, runBytes: 32, rows: 2, peer: 0 };

function graphOf(moves: DeviceMoves): RuntimeGraph {
  const devices = [{ device: 0, moves: 0, peers: [1] }];
  return {
    transitions: [{ from: 'prefill', to: 'decode', moves: [moves], devices }],
  } as unknown as RuntimeGraph;
}

function movesOf(graph: RuntimeGraph): DeviceMoves {
  const [transition] = graph.transitions;
  expect(transition!.devices).toEqual([{ device: 0, moves: 0, peers: [] }]);
  return transition!.moves[0]!;
}

describe('withoutPeers', () => {
  it('uploads what another device would send', () => {
    const moves: DeviceMoves = {
      ...plain,
      receive: [
        { ...run, weight: 'qkv', piece: 0 },
        { ...run, weight: 'down', piece: 1 },
      ],
      receiveBytes: 96,
    };
    expect(movesOf(withoutPeers(graphOf(moves)))).toEqual({
      ...plain,
      upload: [
        { weight: 'qkv', pieces: [0, 2] },
        { weight: 'down', pieces: [1] },
      ],
      uploadBytes: 64 + 96,
    });
  });

  it('leaves a graph without peers as it is', () => {
    expect(movesOf(withoutPeers(graphOf(plain)))).toEqual(plain);
  });
});
