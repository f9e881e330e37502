/**
 * Re-shards, executed: tensors are filled with element ids, every device carries out its moves, and the result must
 * be what a first upload of the new stage would have left, element for element.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan, type CompileResult } from '../../../compiler/compile.js';
import type { RuntimeStage, WeightReceive, WeightShard } from '../../../compiler/ir/runtime-graph.js';
import { parseRuntimeGraph, serialiseRuntimeGraph } from '../../../compiler/ir/runtime-json.js';
import { verifyRuntime } from '../../../compiler/ir/verify-runtime.js';
import { buildTransitions, onShared, weightPlanning } from '../../../compiler/passes/transitions.js';
import { planWeights, type WeightPlan } from '../../../compiler/reshard/plan-weights.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import { applyTransition, packShard, type ElementSource } from '../../reference/runtime-weights.js';
import { arbitraryReshard } from '../support/arbitrary-reshard.js';
import { makePlan, type PlanOptions } from '../support/make-plan.js';

/** A number that names its element: no two elements of a model have the same. */
function elementIds(): ElementSource {
  const tensors = new Map<string, number>();
  return (tensor) => {
    const index = tensors.get(tensor) ?? tensors.size;
    tensors.set(tensor, index);
    return (row, col) => index * 2 ** 24 + row * 2 ** 12 + col + 1;
  };
}

function shardOn(stage: RuntimeStage, device: number): WeightShard {
  return stage.shards[stage.ranks.find((rank) => rank.device === device)!.shard]!;
}

/** Carries out every transition of a compiled plan; returns how many buffers were compared. */
function executeTransitions({ runtime }: CompileResult): number {
  const source = elementIds();
  let compared = 0;
  for (const { from, to, devices, moves: table } of runtime.transitions) {
    const [before, after] = [from, to].map((name) => runtime.stages.find((stage) => stage.name === name)!);
    expect(devices).toHaveLength(after!.ranks.length);
    for (const { device, moves, peers } of devices) {
      const old = packShard(shardOn(before!, device), source);
      const target = shardOn(after!, device);
      const reached = applyTransition(old, table[moves]!, target, source, (peer) =>
        packShard(shardOn(before!, peers[peer]!), source),
      );
      for (const [id, wanted] of packShard(target, source)) {
        compared++;
        if (!reached.get(id)!.every((element, index) => Object.is(element, wanted[index]))) {
          throw new Error(`${from} -> ${to}, device ${device}: ${id} has wrong elements`);
        }
      }
    }
  }
  return compared;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

const RESHARD: PlanOptions = {
  stages: [
    { name: 'prefill', mesh: { pp: 4 } },
    { name: 'decode', mesh: { tp: 4 } },
  ],
};

describe('weight re-shards', () => {
  it('leave every device with the weights of the new stage, for random pairs of meshes', () => {
    let compared = 0;
    fc.assert(
      fc.property(arbitraryReshard, (options) => {
        compared += executeTransitions(compilePlan(makePlan(options)));
      }),
      { numRuns: 60 },
    );
    expect(compared).toBeGreaterThan(500);
  }, 120_000);

  it('take from other devices what the links make cheaper there, and execute', () => {
    let received = 0;
    fc.assert(
      fc.property(arbitraryReshard, (options) => {
        const compiled = compilePlan(makePlan({ ...options, peerBandwidth: 50e9 }));
        executeTransitions(compiled);
        for (const { bytes, lowerBound } of compiled.transitions.weights) {
          const brought = bytes.upload + bytes.peer;
          // Halves of words come with their neighbours, and on the device nothing copies them.
          if (options.weights === 'f32') expect(brought).toBe(lowerBound);
          else expect(brought).toBeGreaterThanOrEqual(lowerBound);
        }
        const text = serialiseRuntimeGraph(compiled.runtime);
        expect(parseRuntimeGraph(JSON.parse(text))).toMatchObject({ graph: compiled.runtime });
        received += compiled.runtime.transitions
          .flatMap((transition) =>
            transition.devices.flatMap((entry) => transition.moves[entry.moves]!.receive ?? []),
          )
          .reduce((sum, { runBytes, rows }) => sum + runBytes * rows, 0);
      }),
      { numRuns: 30 },
    );
    expect(received).toBeGreaterThan(10_000);
  }, 120_000);

  it('keep the same one of several equal weights on the way there and back', () => {
    // On all ranks but the first, biases of partial sums are all zero: one like the other.
    const { runtime } = compilePlan(
      makePlan({
        shape: { outputBias: true, mlpBias: true },
        stages: [
          { name: 'prefill', mesh: { pp: 2, tp: 2 } },
          { name: 'decode', mesh: { pp: 2, tp: 2 }, devices: [2, 3, 0, 1] },
        ],
      }),
    );
    const [there, back] = runtime.transitions.map(({ devices, moves }) =>
      devices.flatMap((entry) =>
        moves[entry.moves]!.keep.map(({ weight, old }) => ({ device: entry.device, weight, old })),
      ),
    );
    const key = ({ device, weight, old }: { device: number; weight: string; old: string }): string =>
      [device, weight, old].join();
    const turned = back!.map(({ device, weight, old }) => ({ device, weight: old, old: weight }));
    expect(turned.map(key).sort()).toEqual(there!.map(key).sort());
    expect(there!.some(({ weight, old }) => weight !== old)).toBe(true);
  });

  it('are refused when a piece is received twice, in part, from oneself or not at all', () => {
    const { runtime, transitions } = compilePlan(makePlan({ ...RESHARD, peerBandwidth: 50e9 }));
    const spoil = (edit: (receive: Writable<WeightReceive>[], peers: number[]) => void): string => {
      const copy = structuredClone(runtime);
      const { devices, moves } = copy.transitions[0]!;
      const [first] = devices;
      edit(moves[first!.moves]!.receive as Writable<WeightReceive>[], first!.peers as number[]);
      return verifyRuntime(copy, { transitions }).join('\n');
    };
    expect(spoil(() => undefined)).toBe('');
    expect(spoil((receive) => receive.pop())).toMatch(/not whole/);
    expect(spoil((receive) => receive.push(receive[0]!))).toMatch(/received twice/);
    expect(spoil((receive) => (receive[0]!.rows = 0))).toMatch(/only part/);
    expect(spoil((_receive, peers) => (peers[0] = 0))).toMatch(/from itself/);
    expect(spoil((receive) => (receive[0]!.peer = 9))).toMatch(/outside/);
    expect(spoil((receive) => (receive[0]!.oldAt = 2 ** 30))).toMatch(/outside/);
  });

  it('upload the lower bound exactly when every piece is aligned', () => {
    fc.assert(
      fc.property(arbitraryReshard, (options) => {
        // Four-byte elements are always aligned; without ties and q/k norms buffers hold each element once in its type.
        const plain = { ...options, weights: 'f32' as const, shape: { ...options.shape, tied: false } };
        const { transitions, runtime } = compilePlan(makePlan(plain));
        for (const { from, to, lowerBound, bytes } of transitions.weights) {
          const found = runtime.transitions.find((entry) => entry.from === from && entry.to === to)!;
          expect(found.devices.reduce((sum, entry) => sum + found.moves[entry.moves]!.uploadBytes, 0)).toBe(
            lowerBound,
          );
          expect(bytes.upload).toBe(lowerBound);
        }
      }),
      { numRuns: 30 },
    );
  }, 120_000);

  it('copy what a device holds of both: a quarter of its layers from pp 4 to tp 4', () => {
    const plan = makePlan(RESHARD);
    const { sharded } = compilePlan(plan);
    const roads = roadsOf(plan.topology);
    const { holdings } = buildTransitions(sharded, plan, roads);
    const { bytesOf } = weightPlanning(sharded, roads);
    const planned = (from: string, to: string): WeightPlan =>
      planWeights(...onShared(holdings, from, to), bytesOf, roads);
    const [forth, back] = [planned('prefill', 'decode'), planned('decode', 'prefill')];
    // Per device one layer of four: its matrices are a quarter resident, its norms wholly.
    const layer = 32 * (64 + 32 + 32) + 64 * 32 + 3 * 48 * 32;
    const table = 64 * 32;
    expect(forth.bytes.copy).toBe(4 * (4 * (layer / 4) + 2 * (table / 4)));
    expect(forth.bytes.keep).toBe(4 * (4 * 2 * 32 + 32));
    expect(back.bytes.upload).toBe(4 * (4 * (layer - layer / 4) + 2 * (table - table / 4)));
  });

  it('say nothing about stages that hold the same', () => {
    const static_: PlanOptions = {
      stages: [
        { name: 'prefill', mesh: { pp: 2, tp: 2 } },
        { name: 'decode', mesh: { pp: 2, tp: 2 } },
      ],
    };
    const { transitions, runtime } = compilePlan(makePlan(static_));
    expect(transitions.weights).toEqual([]);
    expect(runtime.transitions).toEqual([]);
    expect(transitions.kv).toMatchObject([{ path: 'shared', bytesPerToken: { out: 0, in: 0 } }]);
    expect(runtime.pools).toHaveLength(1);
    expect(runtime.hostTier).toBeDefined();
  });

  it('leave disjoint device sets alone', () => {
    const split: PlanOptions = {
      stages: [
        { name: 'prefill', mesh: { pp: 2 }, devices: [0, 1] },
        { name: 'decode', mesh: { tp: 2 }, devices: [2, 3] },
      ],
    };
    const { transitions, runtime } = compilePlan(makePlan(split));
    expect(transitions.weights).toEqual([]);
    expect(transitions.kv).toMatchObject([{ path: 'tier', tier: 'host' }]);
    expect(runtime.pools.map((pool) => pool.id)).toEqual(['prefill', 'decode']);
  });

  it('move a device that changes place although the meshes are equal', () => {
    const swapped: PlanOptions = {
      stages: [
        { name: 'prefill', mesh: { pp: 2 }, devices: [0, 1] },
        { name: 'decode', mesh: { pp: 2 }, devices: [1, 0] },
      ],
    };
    const { transitions } = compilePlan(makePlan(swapped));
    expect(transitions.weights).toHaveLength(2);
    expect(transitions.kv[0]!.path).toBe('tier');
  });
});

describe('kv edges', () => {
  it('page replicated heads out once and in everywhere', () => {
    const options: PlanOptions = {
      shape: { kvHeads: 2 },
      stages: [
        { name: 'prefill', mesh: { tp: 4 }, kvReplicas: 2 },
        { name: 'decode', mesh: { pp: 4 } },
      ],
    };
    const [edge] = compilePlan(makePlan(options)).transitions.kv;
    const perToken = 4 * 2 * 2 * 8 * 4;
    expect(edge!.bytesPerToken).toEqual({ out: perToken, in: perToken });
    expect(edge!.pageOut.map((slice) => slice.device)).toEqual([0, 2]);
    const turned = compilePlan(
      makePlan({
        ...options,
        stages: [
          { name: 'prefill', mesh: { pp: 4 } },
          { ...options.stages[0]!, name: 'decode' },
        ],
      }),
    ).transitions.kv[0]!;
    expect(turned.bytesPerToken).toEqual({ out: perToken, in: 2 * perToken });
    expect(turned.pageIn.map((slice) => slice.heads)).toEqual([
      [0, 1],
      [0, 1],
      [1, 2],
      [1, 2],
    ]);
  });

  it('are refused without a host tier', () => {
    const { diagnostics, runtime } = compilePlan(makePlan({ ...RESHARD, kv: { hostCapacity: null } }));
    expect(diagnostics.map((diagnostic) => diagnostic.slug)).toEqual(['kv-needs-tier']);
    expect(runtime.stages).toEqual([]);
  });
});
