/** Stages resident together: when the compiler says so, and that lowered graphs keep their weights apart. */
import { describe, expect, it } from 'vitest';
import { compilePlan, type CompileResult } from '../../../compiler/compile.js';
import type { RuntimeStage, RuntimeWeight } from '../../../compiler/ir/runtime-graph.js';
import { decideResidence } from '../../../compiler/passes/residence.js';
import type { DeviceKind, Plan } from '../../../compiler/plan/plan.js';
import { deviceResidences, residencesOf } from '../../../compiler/ir/residences.js';
import { fixedBytes } from '../support/fixed-bytes.js';
import { halfResident } from '../support/half-resident.js';
import { describeResidence } from '../../../compiler/reshard/describe.js';
import { makePlan, type PlanOptions } from '../support/make-plan.js';
import { movesOf } from '../support/reshard-moves.js';

const RESHARD: PlanOptions = {
  stages: [
    { name: 'prefill', mesh: { pp: 4 } },
    { name: 'decode', mesh: { tp: 4 } },
  ],
};

function compile(residence: Plan['residence'], options: Partial<PlanOptions> = {}): CompileResult {
  return compilePlan({ ...makePlan({ ...RESHARD, ...options }), ...(residence && { residence }) });
}

function weightOf(stage: RuntimeStage, device: number, end: string): RuntimeWeight {
  const shard = stage.shards[stage.ranks.find((rank) => rank.device === device)!.shard]!;
  return shard.weights.find((weight) => weight.id.endsWith(end))!;
}

describe('residence', () => {
  it('keeps both where they fit and says what that saves', () => {
    const { transitions, runtime, diagnostics } = compile('auto');
    expect(diagnostics).toEqual([]);
    expect(transitions.residence).toMatchObject({ both: true, stages: ['prefill', 'decode'] });
    expect(transitions.residence!.why).toMatch(/a cycle of transitions takes .* us, .* costs nothing/);
    expect(transitions.weights).toEqual([]);
    expect(runtime.transitions).toEqual([]);
    expect(runtime.kv.edges).toMatchObject([{ path: 'tier' }]);
  });

  it('takes turns when asked to, and by itself where memory is short', () => {
    const asked = compile('switch');
    expect(asked.transitions.residence).toMatchObject({ both: false });
    expect(asked.runtime.transitions).toHaveLength(2);
    const { peak } = asked.runtime.devices[0]!;
    const both = compile('both').runtime;
    // Not quite room for both weights.
    const short = compile('auto', { deviceMemory: Math.ceil((fixedBytes(both) - 100) / 0.9) });
    expect(short.transitions.residence).toMatchObject({ both: false });
    expect(short.transitions.residence!.why).toMatch(/both need .* on `gpu\[0\]`/);
    expect(both.devices[0]!.peak.weights).toBeGreaterThan(peak.weights);
  });

  it('weighs transitions against the KV room they make', () => {
    const roomy = compile('both').runtime.devices[0]!.peak;
    const tight = { deviceMemory: Math.ceil((roomy.weights + roomy.workspace + roomy.kv / 3) / 0.9) };
    const { why, both } = compile('auto', tight).transitions.residence!;
    expect(why).toMatch(/the smaller KV pool costs [\d.]+ (us|ms|s)/);
    expect(both).toBe(false);
  });

  it('tells times in three digits, as reports do', () => {
    const { runtime } = compile('both');
    const layout = { devices: runtime.devices, pools: runtime.pools };
    const tight = { ...layout, pools: layout.pools.map((pool) => ({ ...pool, pages: pool.pages / 7 })) };
    const slow = (kind: DeviceKind): DeviceKind => ({ ...kind, bandwidth: 1 });
    const plan: Plan = { ...makePlan(RESHARD), residence: 'auto' };
    const devices = plan.topology.devices.map((device) => ({ ...device, kind: slow(device.kind) }));
    const slowPlan = { ...plan, topology: { ...plan.topology, devices } };
    const { why } = decideResidence(slowPlan, () => [{ seconds: 1.22228 }], layout, tight);
    expect(why).toMatch(/^a cycle of transitions takes 1\.22 s, the smaller KV pool costs [1-9]\d{2}0* s$/);
  });

  it('keeps the layers of both that memory has room for', () => {
    const plan = halfResident(makePlan({ ...RESHARD, shape: { layers: 8, context: 32 } }))!;
    const { transitions, runtime, diagnostics } = compilePlan(plan);
    expect(diagnostics).toEqual([]);
    const { layers, why } = transitions.residence!;
    expect(transitions.residence!.both).toBe(false);
    expect(layers!.length).toBeGreaterThan(0);
    expect(layers!.length).toBeLessThan(8);
    const words = { both: false, stages: ['a', 'b'], why: 'so', layers: [0, 1, 2, 5] };
    expect(describeResidence(words)).toBe(
      'weights of a and b take turns, but layers 0..2, 5 stay in both: so',
    );
    expect(why).toMatch(/of 8 layers stay in both shardings, which saves .* costs/);

    // Their weights are there in both stages under one name, and nothing of them moves.
    const all = compilePlan({ ...plan, residence: 'switch' });
    expect(all.transitions.residence!.layers).toBeUndefined();
    transitions.weights.forEach((reshard, index) => {
      const before = all.transitions.weights[index]!;
      expect(reshard.cost.linkBytes).toBeLessThan(before.cost.linkBytes);
      const moved = new Set(movesOf(reshard).map(({ piece }) => /layers\.(\d+)/.exec(piece.tensor)?.[1]));
      for (const layer of layers!) expect(moved).not.toContain(String(layer));
    });
    const [prefill, decode] = runtime.stages;
    for (const { devices, moves } of runtime.transitions) {
      for (const { device, moves: index } of devices) {
        const { keep, upload, copy } = moves[index]!;
        const kept = keep.map(({ weight, old }) => (weight === old ? weight : `${weight} in ${old}`));
        const layer = `layers.${layers![0]!}.qkv`;
        const held = [weightOf(prefill!, device, layer), weightOf(decode!, device, `decode.${layer}`)];
        for (const weight of held.filter((candidate) => candidate !== undefined))
          expect(kept).toContain(weight.id);
        expect(held[1]).toBeDefined();
        for (const { weight } of [...upload, ...copy])
          expect(layers).not.toContain(Number(/layers\.(\d+)/.exec(weight)?.[1]));
      }
    }
  });

  it('keeps no layers where that would cost more than it saves, or where the plan says so', () => {
    expect(compile('switch').transitions.residence!.layers).toBeUndefined();
    const { peak } = compile('switch').runtime.devices[0]!;
    // Room for one sharding and hardly any pages: every byte of KV counts.
    const tight = { deviceMemory: Math.ceil((peak.weights + peak.workspace + peak.kv / 4) / 0.9) };
    expect(compile('auto', tight).transitions.residence!.layers).toBeUndefined();
  });

  it('is a diagnostic when forced where both do not fit', () => {
    const deviceMemory = Math.ceil((fixedBytes(compile('both').runtime) - 100) / 0.9);
    expect(compile('switch', { deviceMemory }).diagnostics.map(({ severity }) => severity)).not.toContain(
      'error',
    );
    const { diagnostics } = compile('both', { deviceMemory });
    expect(diagnostics.map(({ slug }) => slug)).toEqual(['weights-do-not-fit']);
    expect(diagnostics[0]!.helps).toContain('`residence: switch` needs room for one of the shardings only');
  });

  it('counts equal weights once and gives others names of their own', () => {
    const { runtime } = compile('both');
    const [prefill, decode] = runtime.stages;
    expect(weightOf(prefill!, 0, 'layers.0.qkv').id).toBe('layers.0.qkv');
    expect(weightOf(decode!, 0, 'layers.0.qkv').id).toBe('decode.layers.0.qkv');
    const ids = (stage: RuntimeStage): ReadonlySet<string> =>
      new Set(
        stage.programs.flatMap((program) =>
          program.ops.flatMap((op) =>
            op.op === 'kernel' ? op.operands.flatMap((o) => ('weight' in o ? [o.weight] : [])) : [],
          ),
        ),
      );
    for (const stage of runtime.stages) {
      const held = new Set(stage.shards.flatMap((shard) => shard.weights.map((weight) => weight.id)));
      expect([...ids(stage)].filter((id) => !held.has(id))).toEqual([]);
    }
    for (const device of runtime.devices) {
      const [residence, ...others] = deviceResidences(runtime, residencesOf(runtime), device.id);
      expect(others).toEqual([]);
      const bytes = residence!.weights.reduce((sum, weight) => sum + weight.bytes, 0);
      expect(bytes).toBe(device.peak.weights);
      const separate = runtime.stages.reduce((sum, stage) => {
        const rank = stage.ranks.find((candidate) => candidate.device === device.id)!;
        return sum + stage.shards[rank.shard]!.weights.reduce((all, weight) => all + weight.bytes, 0);
      }, 0);
      expect(bytes).toBeLessThan(separate);
    }
  });

  it('has nothing to decide where nothing re-shards', () => {
    const { transitions } = compilePlan({
      ...makePlan({ stages: [{ name: 'serve', mesh: { tp: 2 } }] }),
      residence: 'auto',
    });
    expect(transitions.residence).toBeUndefined();
  });
});
