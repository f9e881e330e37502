/** How often the costly parts of compiling run, and what they make: with what is distinct, not with layers and devices. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { compilePlan, type CompileResult } from '../../compiler/compile.js';
import type { Rectangle } from '../../compiler/ir/rectangles.js';
import { orderMoves } from '../../compiler/ir/move-order.js';
import { byTensor } from '../../compiler/ir/pieces.js';
import { printIds } from '../../compiler/ir/print.js';
import { printRuntime } from '../../compiler/ir/print-runtime.js';
import { printTransitions } from '../../compiler/ir/print-transitions.js';
import { layOutArena } from '../../compiler/ir/weight-arena.js';
import { shapeOf } from '../../compiler/passes/block-state.js';
import { lowerTransition } from '../../compiler/passes/lower-transitions.js';
import { chooseSent } from '../../compiler/reshard/plan-moves.js';
import { halfResident } from './support/half-resident.js';
import { makePlan, type PlanOptions } from './support/make-plan.js';

vi.mock('../../compiler/ir/move-order.js', { spy: true });
vi.mock('../../compiler/ir/pieces.js', { spy: true });
vi.mock('../../compiler/ir/print.js', { spy: true });
vi.mock('../../compiler/ir/weight-arena.js', { spy: true });
vi.mock('../../compiler/passes/block-state.js', { spy: true });
vi.mock('../../compiler/passes/lower-transitions.js', { spy: true });
vi.mock('../../compiler/reshard/plan-moves.js', { spy: true });

interface Calls {
  readonly layOutArena: number;
  readonly lowerTransition: number;
  readonly chooseSent: number;
}

function callsOf(spied: unknown): number {
  return vi.mocked(spied as () => void).mock.calls.length;
}

function calls(): Calls {
  return {
    layOutArena: callsOf(layOutArena),
    lowerTransition: callsOf(lowerTransition),
    chooseSent: callsOf(chooseSent),
  };
}

/** Prefill in two pipeline stages, decode over four ranks, on replicas of four devices each. */
function reshard(layers: number, replicas: number): PlanOptions {
  const devices = { peerBandwidth: 50e9, shape: { layers, context: 32 } };
  return {
    ...devices,
    stages: [
      { name: 'prefill', mesh: { dp: replicas, pp: 2, tp: 2 } },
      { name: 'decode', mesh: { dp: replicas, tp: 4 } },
    ],
  };
}

function compileInTurns(layers: number, replicas: number): CompileResult {
  return compilePlan({ ...makePlan(reshard(layers, replicas)), residence: 'switch' });
}

/** Different values among the intervals that some pieces consist of, by identity. */
function intervals(pieces: readonly Rectangle[]): number {
  return new Set(pieces.flatMap(({ rows, cols }) => [rows, cols])).size;
}

function heldPieces({ transitions: { holdings } }: CompileResult): readonly Rectangle[] {
  return Object.values(holdings).flatMap((ranks) => ranks.flatMap((rank) => rank.weights));
}

function cutPieces({ runtime: { stages } }: CompileResult): readonly Rectangle[] {
  const weights = stages.flatMap(({ shards }) => shards.flatMap((shard) => shard.weights));
  return weights.flatMap(({ pieces }) => pieces);
}

describe('compiling a re-shard', () => {
  beforeEach(() => vi.clearAllMocks());

  it('plans and lowers moves once per transition, also where some layers stay in both shardings', () => {
    compileInTurns(8, 1);
    expect(calls()).toMatchObject({ lowerTransition: 2, chooseSent: 2 });
    const plan = halfResident(makePlan(reshard(8, 1)));
    if (plan === undefined) throw new Error('no memory makes some of the layers stay');
    vi.clearAllMocks();
    const { transitions } = compilePlan(plan);
    expect(transitions.residence!.layers!.length).toBeGreaterThan(0);
    expect(calls()).toMatchObject({ lowerTransition: 2, chooseSent: 2 });
  });

  it('lays memory out once for devices that do the same, whatever the replicas', () => {
    compileInTurns(8, 1);
    const one = calls();
    expect(one.layOutArena).toBe(4);
    vi.clearAllMocks();
    const { runtime } = compileInTurns(8, 8);
    expect(calls()).toEqual(one);
    for (const { moves } of runtime.transitions) expect(moves).toHaveLength(4);
  });

  it('orders the moves of a device once where it is sent nothing', () => {
    const alone = { ...reshard(16, 1), peerBandwidth: 1 };
    const { runtime } = compilePlan({ ...makePlan(alone), residence: 'switch' });
    const moves = runtime.transitions.flatMap((transition) => transition.moves);
    expect(moves).toHaveLength(8);
    expect(moves.flatMap(({ receive = [] }) => receive)).toEqual([]);
    expect(callsOf(orderMoves)).toBe(moves.length);
  });

  it('finds the shapes of the values of a block once, whatever the layers', () => {
    compileInTurns(8, 1);
    const few = callsOf(shapeOf);
    expect(few).toBeGreaterThan(0);
    vi.clearAllMocks();
    compileInTurns(32, 1);
    expect(callsOf(shapeOf)).toBe(few);
  });

  it('sorts what devices hold once for planning and verifying, whatever the replicas', () => {
    const { transitions } = compileInTurns(8, 8);
    const held = Object.values(transitions.holdings).flatMap((ranks) => ranks.map((rank) => rank.weights));
    const sorted = vi.mocked(byTensor).mock.calls.map(([list]) => list);
    for (const list of new Set(held)) expect(sorted.filter((other) => other === list)).toHaveLength(1);
  });

  it('draws layers together once for devices that do the same, whatever the replicas', () => {
    const drawn = ({ transitions, runtime }: CompileResult): number => {
      vi.clearAllMocks();
      expect(printTransitions(transitions)).toContain('device 3 {');
      expect(printRuntime(runtime)).toContain('device 3: upload');
      return callsOf(printIds);
    };
    expect(drawn(compileInTurns(8, 4))).toBe(drawn(compileInTurns(8, 1)));
  });

  it('makes the rectangles of all layers once, whatever their number', () => {
    const few = intervals(heldPieces(compileInTurns(8, 1)));
    expect(intervals(heldPieces(compileInTurns(32, 1)))).toBe(few);
    expect(intervals(heldPieces(compileInTurns(8, 4)))).toBe(few);
  });

  it('cuts the weights of layers that lie alike once, whatever their number', () => {
    const [few, many] = [compileInTurns(16, 1), compileInTurns(64, 1)].map(cutPieces);
    expect(many!.length).toBeGreaterThan(3 * few!.length);
    // Who sends a part, and so how it is cut, is not the same for all: more layers are cut in a few ways more.
    expect(intervals(many!)).toBeLessThan(1.2 * intervals(few!));
  });
});
