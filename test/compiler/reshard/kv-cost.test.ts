/** What a token's KV costs between stages beside several hosts. */
import { describe, expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import { compilePlan } from '../../../compiler/compile.js';
import { area, intersect, sliceRectangle } from '../../../compiler/ir/rectangles.js';
import type { KvCost, KvSlice, TransitionGraph } from '../../../compiler/ir/transitions.js';
import type { Plan } from '../../../compiler/plan/plan.js';
import { tierBeside } from '../../../compiler/plan/routes.js';
import { kvTravels } from '../../../compiler/reshard/kv-travels.js';
import { roadsOf } from '../../../compiler/reshard/roads.js';
import { memoryHost } from '../check/memory-host.js';

/** K and V of 4 layers, 4 heads of 16, in f32. */
const TOKEN_BYTES = 2 * 4 * 4 * 16 * 4;

/** A plan on nodes of two devices each, with links to hosts of 1 GB/s and of 4 GB/s between nodes. */
function compileBetween(
  prefill: string,
  decode: string,
  { nodes = 2, between = 'node <-> node' } = {},
): {
  readonly plan: Plan;
  readonly transitions: TransitionGraph;
} {
  const text = `
device card { memory: 1 GB, bandwidth: 100 GB/s, compute: { f32: 1 TFLOPS } }
topology box {
  node[${nodes}] {
    gpu[2]: card
    tier host { capacity: 1 GB }
    link gpu <-> gpu { bandwidth: 20 GB/s }
    link gpu <-> host { bandwidth: 1 GB/s, latency: 1 ms }
  }
  link ${between} { bandwidth: 4 GB/s }
}
model tiny {
  family: llama
  layers: 4, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 256, context: 256
  weights: f32
}
plan p for tiny on box {
  stage prefill on ${prefill}
  stage decode on ${decode}
  kv { page: 16 tokens, tiers: gpu -> host }
  flow requests -> prefill -> decode -> results
}
`;
  const { plans, diagnostics } = checkFile(memoryHost({ 'p.plan': text }), 'p.plan');
  expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  const { transitions } = compilePlan(plans[0]!);
  expect(transitions.kvCosts).toHaveLength(1);
  return { plan: plans[0]!, transitions };
}

const costBetween = (...layout: Parameters<typeof compileBetween>): KvCost =>
  compileBetween(...layout).transitions.kvCosts[0]!;

/** Bytes by lane of what every replica hands to every other, one road for each two ranks or hosts. */
function carriedByAll({
  plan,
  transitions,
}: ReturnType<typeof compileBetween>): Readonly<Record<string, number>> {
  const { pageOut, pageIn, tier } = transitions.kv[0]!;
  const roads = roadsOf(plan.topology);
  const tierOf = tierBeside(plan.topology, tier);
  const carried: Record<string, number> = {};
  const carry = (from: string, to: string, bytes: number): void => {
    for (const lane of roads.between(from, to)!.lanes) {
      const { link, place, direction } = roads.lanes[lane]!;
      const key = `${link}, ${place} ${direction}`;
      carried[key] = (carried[key] ?? 0) + bytes;
    }
  };
  const sharesOf = (slices: readonly KvSlice[], dp: number): readonly KvSlice[] =>
    slices.filter((slice) => slice.dp === dp);
  const pathOf = (device: number): string => plan.topology.devices[device]!.path;
  for (const from of new Set(pageOut.map(({ dp }) => dp)))
    for (const to of new Set(pageIn.map(({ dp }) => dp))) {
      for (const { device, bytesPerToken } of sharesOf(pageOut, from))
        carry(pathOf(device), tierOf(device)!, bytesPerToken);
      for (const taking of sharesOf(pageIn, to)) {
        for (const given of sharesOf(pageOut, from)) {
          const [start, end] = [tierOf(given.device)!, tierOf(taking.device)!];
          const common = intersect(sliceRectangle(given), sliceRectangle(taking));
          const part = common === undefined ? 0 : area(common) / area(sliceRectangle(taking));
          if (start !== end && part > 0) carry(start, end, part * taking.bytesPerToken);
        }
        carry(tierOf(taking.device)!, pathOf(taking.device), taking.bytesPerToken);
      }
    }
  return carried;
}

function carriedByTravels({ plan, transitions }: ReturnType<typeof compileBetween>): {
  readonly carried: Readonly<Record<string, number>>;
  readonly roads: number;
} {
  const roads = roadsOf(plan.topology);
  const carried: Record<string, number> = {};
  const { travels } = kvTravels(transitions.kv[0]!, roads);
  for (const { bytes, road } of travels)
    for (const lane of road.lanes) {
      const { link, place, direction } = roads.lanes[lane]!;
      const key = `${link}, ${place} ${direction}`;
      carried[key] = (carried[key] ?? 0) + bytes;
    }
  return { carried, roads: new Set(travels.map(({ road }) => road)).size };
}

const bytesOf = ({ links }: KvCost): readonly string[] =>
  links.map(({ from, to, bytes }) => `${from} to ${to}: ${bytes / TOKEN_BYTES}`);

describe('KV between nodes', () => {
  it('goes out, from host to host, and in: every leg counts, and the busiest lane of all of them', () => {
    const cost = costBetween('node[0].gpu { mesh (tp: 2) }', 'node[1].gpu[0] { mesh (tp: 1) }');
    expect(bytesOf(cost)).toEqual(['gpu to host: 1', 'node to node: 1', 'host to gpu: 1']);
    expect(cost.links.map(({ busiest }) => [busiest.place, busiest.bytes])).toEqual([
      ['node[0].gpu[0]', TOKEN_BYTES / 2],
      ['node[0]', TOKEN_BYTES],
      ['node[1].gpu[0]', TOKEN_BYTES],
    ]);
    expect(cost.seconds).toBeCloseTo(TOKEN_BYTES / 1e9, 15);
    expect(cost).toMatchObject({ linkBytes: 3 * TOKEN_BYTES, lowerBound: TOKEN_BYTES });
  });

  it('goes between hosts only as far as it lies with another', () => {
    const cost = costBetween('node.gpu[0] { mesh (pp: 2) }', 'node.gpu[1] { mesh (tp: 2) }');
    expect(bytesOf(cost)).toEqual(['gpu to host: 1', 'node to node: 0.5', 'host to gpu: 1']);
    expect(cost.linkBytes).toBe(2.5 * TOKEN_BYTES);
    const within = costBetween('node[0].gpu[0] { mesh (tp: 1) }', 'node[0].gpu[1] { mesh (tp: 1) }');
    expect(bytesOf(within)).toEqual(['gpu to host: 1', 'host to gpu: 1']);
  });
});

describe('KV between replicas', () => {
  it('is the mean of all that hand to one another', () => {
    // Half of the tokens go to the other node, all of their bytes.
    const cost = costBetween('node.gpu { mesh (dp: 2, pp: 2) }', 'node.gpu { mesh (dp: 2, tp: 2) }');
    expect(bytesOf(cost)).toEqual(['gpu to host: 1', 'node to node: 0.5', 'host to gpu: 1']);
    expect(cost.links.map(({ busiest }) => [busiest.place, busiest.bytes])).toEqual([
      ['node[0].gpu[0]', TOKEN_BYTES / 4],
      ['node[0]', TOKEN_BYTES / 4],
      ['node[0].gpu[0]', TOKEN_BYTES / 4],
    ]);
    expect(cost.seconds).toBeCloseTo(TOKEN_BYTES / 4 / 1e9, 15);
    // A quarter is there on the same node: half of the half that each device needs.
    expect(cost).toMatchObject({ meanOfReplicas: true, lowerBound: 0.75 * TOKEN_BYTES });
    expect(cost.linkBytes).toBe(2.5 * TOKEN_BYTES);
  });

  it('counts lanes by what they carry of all that is handed on', () => {
    const cost = costBetween('node[0..3].gpu { mesh (dp: 8) }', 'node[4..7].gpu[0] { mesh (dp: 4) }', {
      nodes: 8,
    });
    expect(bytesOf(cost)).toEqual(['gpu to host: 1', 'node to node: 1', 'host to gpu: 1']);
    expect(cost.links.map(({ busiest }) => busiest.bytes / TOKEN_BYTES)).toEqual([1 / 8, 1 / 4, 1 / 4]);
    expect(cost.lowerBound).toBe(TOKEN_BYTES);
  });

  it('is of one replica where each stage has one', () => {
    const cost = costBetween('node.gpu[0] { mesh (pp: 2) }', 'node.gpu[1] { mesh (tp: 2) }');
    expect(cost).not.toHaveProperty('meanOfReplicas');
  });

  it.each([
    ['on the same nodes', 'node.gpu { mesh (dp: 4, pp: 2) }', 'node.gpu { mesh (dp: 4, tp: 2) }', {}],
    ['of several to a node', 'node.gpu { mesh (dp: 8) }', 'node.gpu { mesh (dp: 4, tp: 2) }', {}],
    ['across nodes', 'node.gpu { mesh (dp: 2, pp: 4) }', 'node.gpu { mesh (dp: 2, pp: 2, tp: 2) }', {}],
    ['on other nodes', 'node[0..2].gpu { mesh (dp: 3, pp: 2) }', 'node[3].gpu { mesh (dp: 2) }', {}],
    ['on as many nodes', 'node[0..1].gpu { mesh (dp: 4) }', 'node[2..3].gpu { mesh (dp: 2, tp: 2) }', {}],
    [
      'of which some share nodes',
      'node[0..2].gpu[0] { mesh (dp: 3) }',
      'node[1..3].gpu[1] { mesh (dp: 3) }',
      {},
    ],
    [
      'of uneven numbers',
      'node[0..4].gpu { mesh (dp: 5, tp: 2) }',
      'node[5..7].gpu { mesh (dp: 3, pp: 2) }',
      { nodes: 8 },
    ],
    [
      'between nodes that the link tells apart',
      'node.gpu { mesh (dp: 4, pp: 2) }',
      'node.gpu { mesh (dp: 4, tp: 2) }',
      { between: 'node[0..3] <-> node[0..3]' },
    ],
  ] as const)('occupies every lane as all roads together would: %s', (_, prefill, decode, box) => {
    const compiled = compileBetween(prefill, decode, { nodes: 4, ...box });
    expect(carriedByTravels(compiled).carried).toEqual(carriedByAll(compiled));
  });

  it('takes roads that grow with the nodes, not with the pairs of them', () => {
    const roadsOn = (nodes: number): number =>
      carriedByTravels(
        compileBetween(`node.gpu { mesh (dp: ${nodes}, pp: 2) }`, `node.gpu { mesh (dp: ${nodes}, tp: 2) }`, {
          nodes,
        }),
      ).roads;
    // Out of and into each of two devices of a node, and from it to one other.
    expect([roadsOn(4), roadsOn(32)]).toEqual([4 * 5, 32 * 5]);
  });
});
