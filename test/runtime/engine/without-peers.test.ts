import { describe, expect, it } from 'vitest';
import type { RuntimeGraph, RuntimeTransition } from '../../../compiler/ir/runtime-graph.js';
import { withoutPeers } from '../../../runtime/engine/without-peers.js';

type DeviceMoves = RuntimeTransition['devices'][number];

const plain: DeviceMoves = {
  device: 0,
  keep: [{ weight: 'norm', old: 'norm' }],
  copy: [],
  upload: [{ weight: 'qkv', pieces: [2] }],
  evict: [],
  uploadBytes: 64,
};

const run = { at: 0, stride: 32, old: 'qkv', oldAt: 0, oldStride: 32, runBytes: 32, rows: 2, fromDevice: 1 };

function graphOf(moves: DeviceMoves): RuntimeGraph {
  return { transitions: [{ from: 'prefill', to: 'decode', devices: [moves] }] } as unknown as RuntimeGraph;
}

function movesOf(graph: RuntimeGraph): DeviceMoves {
  return graph.transitions[0]!.devices[0]!;
}

describe('withoutPeers', () => {
  it('uploads what another device would send', () => {
    const moves: DeviceMoves = {
      ...plain,
      receive: [
        { ...run, weight: 'qkv', piece: 0 },
        { ...run, weight: 'down', piece: 1 },
      ],
    };
    expect(movesOf(withoutPeers(graphOf(moves)))).toEqual({
      ...plain,
      upload: [
        { weight: 'qkv', pieces: [0, 2] },
        { weight: 'down', pieces: [1] },
      ],
      uploadBytes: 64 + 2 * 64,
    });
  });

  it('leaves a graph without peers as it is', () => {
    expect(movesOf(withoutPeers(graphOf(plain)))).toEqual(plain);
  });
});
