/**
 * Random placements of a small model, and machines to move them on: made straight from meshes, without a compiler, so
 * that thousands of pairs can be planned in a test.
 */
import fc from 'fast-check';
import { blockOf } from '../../../compiler/ir/sharding-algebra.js';
import type { RankHolding, TensorPiece } from '../../../compiler/ir/transitions.js';
import type { DeviceKind, Link, Mesh, Tier, Topology } from '../../../compiler/plan/plan.js';
import { meshesOf } from './arbitrary-reshard.js';
import { evenSplit, originAt } from './make-plan.js';

/** Devices of every machine here. */
export const DEVICES = 8;

export interface TinyModel {
  readonly layers: number;
  readonly kvHeads: number;
  /** Rows of the table; need not divide. */
  readonly vocab: number;
}

/** Where a mesh puts the model: tables at the ends, rows and columns split over tp, kv heads replicated if need be. */
export function placeModel(
  model: TinyModel,
  mesh: Mesh,
  devices: readonly number[],
  layerSplit: readonly number[],
): readonly RankHolding[] {
  const starts = layerSplit.map((_, pp) => layerSplit.slice(0, pp).reduce((sum, count) => sum + count, 0));
  return devices.map((device, rank) => {
    const tp = rank % mesh.tp;
    const pp = Math.floor(rank / mesh.tp) % mesh.pp;
    const layers = [starts[pp]!, starts[pp]! + layerSplit[pp]!] as const;
    const groups = Math.min(mesh.tp, model.kvHeads);
    const heads = blockOf(model.kvHeads, groups, Math.floor((tp * groups) / mesh.tp));
    const all: TensorPiece[] = [];
    const add = (tensor: string, rows: TensorPiece['rows'], cols: TensorPiece['cols']): void => {
      if (rows[1] > rows[0] && cols[1] > cols[0]) all.push({ tensor, rows, cols });
    };
    if (pp === 0) add('embed', blockOf(model.vocab, mesh.tp, tp), [0, 2]);
    if (pp === mesh.pp - 1) add('head', blockOf(model.vocab, mesh.tp, tp), [0, 2]);
    for (let layer = layers[0]; layer < layers[1]; layer++) {
      add(`layers.${layer}.norm`, [0, 1], [0, 3]);
      add(`layers.${layer}.k`, [heads[0] * 2, heads[1] * 2], [0, 3]);
      add(`layers.${layer}.up`, blockOf(24, mesh.tp, tp), [0, 3]);
      add(`layers.${layer}.down`, [0, 3], blockOf(24, mesh.tp, tp));
    }
    const dp = Math.floor(rank / (mesh.tp * mesh.pp));
    return { device, dp, pp, tp, weights: all, kv: { layers, heads } };
  });
}

export const arbitraryModel: fc.Arbitrary<TinyModel> = fc.record({
  layers: fc.integer({ min: 2, max: 6 }),
  kvHeads: fc.constantFrom(1, 2, 4, 8),
  vocab: fc.integer({ min: 3, max: 13 }),
});

/** Any mesh on any of the devices, in any order, with any split of the layers. */
export function arbitraryPlacement(model: TinyModel): fc.Arbitrary<readonly RankHolding[]> {
  return fc
    .record({
      count: fc.constantFrom(1, 2, 3, 4, 6, 8),
      pick: fc.nat(),
      order: fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: DEVICES }),
      moved: fc.nat(),
    })
    .map(({ count, pick, order, moved }) => {
      const fits = ({ pp, tp }: Mesh): boolean =>
        pp <= model.layers && 24 % tp === 0 && (model.kvHeads % tp === 0 || tp % model.kvHeads === 0);
      const meshes = meshesOf(count).filter(fits);
      const mesh = meshes[pick % meshes.length] ?? { dp: count, pp: 1, tp: 1 };
      const split = evenSplit(model.layers, mesh.pp);
      const from = moved % mesh.pp;
      if (split[from]! > 1) {
        split[from]! -= 1;
        split[(from + 1) % mesh.pp]! += 1;
      }
      return placeModel(model, mesh, order.slice(0, count), split);
    });
}

const kind: DeviceKind = {
  name: 'chip',
  memory: 2 ** 30,
  bandwidth: 1000,
  compute: {},
  sustained: { compute: 1, bandwidth: 1 },
  origin: originAt(1),
};

export interface MachineOptions {
  /** Bytes per second between devices; none without such a link. */
  readonly peer?: number;
  /** Between a device and the host; no host without. */
  readonly host?: number;
  /** Two nodes of four devices with this between them, instead of one of eight. */
  readonly nodes?: number;
  /** Whether host memory has room for a copy of the model; a disk has it in any case. */
  readonly disk?: boolean;
  readonly latency?: number;
}

/** A machine of eight devices. */
export function makeMachine(options: MachineOptions): Topology {
  const groups = options.nodes === undefined ? [''] : ['node[0]', 'node[1]'];
  const inside = (group: string, name: string): string => (group === '' ? name : `${group}.${name}`);
  const each = DEVICES / groups.length;
  const latency = options.latency ?? 0;
  const link = (scope: string, from: string, to: string, bandwidth: number): Link => ({
    scope,
    from,
    to,
    bandwidth,
    latency,
    allreduce: {},
    origin: originAt(3),
  });
  const scope = options.nodes === undefined ? '' : 'node[*]';
  const tier = (group: string, name: string, medium: Tier['medium'], capacity: number): Tier => {
    return { path: inside(group, name), name, group, medium, capacity, origin: originAt(2) };
  };
  const { peer, host, nodes, disk } = options;
  return {
    name: 'machine',
    devices: groups.flatMap((group, index) =>
      Array.from({ length: each }, (_, id) => {
        return { id: index * each + id, path: inside(group, `gpu[${id}]`), group, kind };
      }),
    ),
    tiers: groups.flatMap((group) => [
      ...(host === undefined ? [] : [tier(group, 'host', 'host', disk ? 1 : 2 ** 40)]),
      ...(host !== undefined && disk ? [tier(group, 'nvme', 'disk', 2 ** 40)] : []),
    ]),
    links: [
      ...(peer === undefined ? [] : [link(scope, 'gpu', 'gpu', peer)]),
      ...(host === undefined ? [] : [link(scope, 'gpu', 'host', host)]),
      ...(host !== undefined && disk ? [link(scope, 'host', 'nvme', host / 2)] : []),
      ...(nodes === undefined ? [] : [link('', 'node', 'node', nodes)]),
    ],
    overhead: { step: 0, layer: 0, request: 0, kernel: 0 },
    origin: originAt(1),
  };
}

/** Machines on which every device can be reached from somewhere that has the weights. */
export const arbitraryMachine: fc.Arbitrary<Topology> = fc
  .record({
    peer: fc.option(fc.constantFrom(5, 20, 90), { nil: undefined }),
    host: fc.constantFrom(10, 20),
    nodes: fc.option(fc.constantFrom(8, 40), { nil: undefined }),
    disk: fc.boolean(),
    latency: fc.constantFrom(0, 0.5),
  })
  .map(({ peer, nodes, ...rest }) =>
    makeMachine({
      ...rest,
      ...(peer === undefined ? {} : { peer }),
      ...(nodes === undefined ? {} : { nodes }),
    }),
  );
