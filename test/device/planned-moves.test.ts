/**
 * Random re-shards carried out on devices by the parts of the runtime that do it in a run: weights filled with element
 * ids in the arena, pages filled with ids of (page, layer, head, slot) in pools and the host tier. Every shard and
 * every page of the destination must then hold exactly what belongs there, and the source again on the way back.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compilePlan } from '../../compiler/compile.js';
import {
  movesOfDevice,
  type DeviceMoves,
  type RuntimeGraph,
  type RuntimeStage,
} from '../../compiler/ir/runtime-graph.js';
import { openDevices } from '../../runtime/device/dawn.js';
import type { Device } from '../../runtime/device/device.js';
import { deviceResidences, residencesOf, transitionBetween } from '../../compiler/ir/residences.js';
import { createHostPages } from '../../runtime/kv/host-pages.js';
import { createPagePool, openPoolStaging, type PagePool } from '../../runtime/kv/pool.js';
import { plainType } from '../../runtime/kernels/wgsl.js';
import { neededTensors } from '../../runtime/weights/graph-tensors.js';
import type { ResidentWeights } from '../../runtime/exec/resident-weights.js';
import { arbitraryReshard } from '../compiler/support/arbitrary-reshard.js';
import { halfResident } from '../compiler/support/half-resident.js';
import { makePlan, type PlanOptions } from '../compiler/support/make-plan.js';
import { seededRandom, type Random } from '../fixtures/random.js';
import { residentWeights } from '../runtime/support/resident.js';
import { elementIds, type ElementIds } from './support/element-ids.js';

const PAGE_TOKENS = 4;
/** Pages of each re-shard that cross. */
const PAGES = 3;

/** Meshes and orders at random; the second stage on the same devices, on some of them, or on others. */
const arbitraryPair: fc.Arbitrary<PlanOptions> = fc
  .tuple(arbitraryReshard, fc.constantFrom(0, 0, 1, 2, 4))
  .map(([options, shift]) => {
    const [first, second] = options.stages;
    const devices = second!.devices!.map((device) => device + shift);
    // Norms of q and k are f32 whatever the rest is; ids of 16 bits would have to be converted.
    const shape = { ...options.shape, context: 24, ...(options.weights !== 'f32' && { qkNorm: false }) };
    return { ...options, shape, stages: [first!, { ...second!, devices }] };
  });

/** A device number of the topology may be up to eight and the largest shift. */
const DEVICES = 12;

describe('planned moves on devices', () => {
  let opened: readonly Device[];

  beforeAll(async () => {
    opened = await openDevices(DEVICES);
  });
  afterAll(() => {
    for (const device of opened) device.destroy();
  });

  it('leave every shard and every page as the next stage wants them', async () => {
    const seen = { layers: 0, transitions: 0, moved: 0, crossed: 0, shared: 0, kept: 0 };
    for (const [index, options] of fc.sample(arbitraryPair, { numRuns: 48, seed: 11 }).entries()) {
      const plan = makePlan({ ...options, kv: { pageTokens: PAGE_TOKENS } });
      const { runtime: graph, transitions } = compilePlan((index % 4 === 0 && halfResident(plan)) || plan);
      seen.layers += transitions.residence?.layers?.length ?? 0;
      const devices = new Map(graph.devices.map(({ id }) => [id, opened[id]!]));
      seen.transitions += await moveWeights(graph, devices, seen);
      if (graph.kv.edges[0]!.path === 'shared') seen.shared++;
      else seen.crossed += await movePages(graph, devices, seededRandom(index));
    }
    expect(seen.layers).toBeGreaterThan(0);
    expect(seen.transitions).toBeGreaterThan(60);
    expect(seen.moved).toBeGreaterThan(1000);
    expect(seen.kept).toBeGreaterThan(100);
    expect(seen.crossed).toBeGreaterThan(200);
    expect(seen.shared).toBeGreaterThan(0);
  });
});

/** There and back on every device that both stages use. Returns the number of devices changed. */
async function moveWeights(
  graph: RuntimeGraph,
  devices: ReadonlyMap<number, Device>,
  seen: { moved: number; kept: number },
): Promise<number> {
  const residences = residencesOf(graph);
  const ids = elementIds(neededTensors(graph), plainType(graph.model.weights));
  const [first, second] = graph.stages as [RuntimeStage, RuntimeStage];
  const there = transitionBetween(graph, residences, first.name, second.name);
  const back = transitionBetween(graph, residences, second.name, first.name);
  if (!there || !back) return 0;
  for (const entry of there.devices) {
    const device = devices.get(entry.device)!;
    const moves = there.moves[entry.moves]!;
    const home = movesOfDevice(back, entry.device)!;
    const transitions = new Map<string, DeviceMoves>([
      [`${first.name}->${second.name}`, moves],
      [`${second.name}->${first.name}`, home],
    ]);
    const mine = deviceResidences(graph, residences, entry.device);
    const resident = residentWeights(device, mine, transitions, ids.source);
    await resident.load(first.name);
    const bytes = ({ uploadBytes, receiveBytes = 0 }: DeviceMoves): number => uploadBytes + receiveBytes;
    expect(await resident.transition(second.name, moves)).toBe(bytes(moves));
    await expectShard(second, device, entry.device, resident, ids);
    expect(await resident.transition(first.name, home)).toBe(bytes(home));
    await expectShard(first, device, entry.device, resident, ids);
    seen.moved += moves.copy.length + moves.upload.length;
    seen.kept += moves.keep.length;
  }
  return there.devices.length;
}

async function expectShard(
  stage: RuntimeStage,
  device: Device,
  id: number,
  resident: ResidentWeights,
  ids: ElementIds,
): Promise<void> {
  const { shard } = stage.ranks.find((rank) => rank.device === id)!;
  const { weights } = stage.shards[shard]!;
  const found = await device.read(weights.map((weight) => resident.place(stage.name, weight.id)));
  weights.forEach((weight, index) => {
    const same = Buffer.compare(found[index]!, ids.packed(weight)) === 0;
    if (!same) throw new Error(`${weight.id} of ${stage.name} on device ${id} is not what belongs there`);
  });
}

/** Fills pages of the first stage, moves them out and in, and checks them. Returns pages checked, per rank. */
async function movePages(
  graph: RuntimeGraph,
  devices: ReadonlyMap<number, Device>,
  random: Random,
): Promise<number> {
  const { layers, kvHeads, headDim } = graph.model.shape;
  const headBytes = PAGE_TOKENS * 2 * headDim * 4;
  const host = createHostPages(graph.hostTier!.pages, { layers, heads: kvHeads, headBytes });
  const staging = await openPoolStaging(graph.pools, devices, true);
  const pools = graph.stages.map(({ pool }) => {
    const description = graph.pools.find((candidate) => candidate.id === pool)!;
    return { description, pool: createPagePool(description, headBytes, staging, host) };
  });
  const [from, to] = pools as [Pool, Pool];
  const draw = (count: number): number[] => {
    const drawn = new Set<number>();
    while (drawn.size < PAGES) drawn.add(random.below(count));
    return [...drawn];
  };
  const replicaOf = ({ description }: Pool): number =>
    random.below(1 + Math.max(...description.ranks.map((rank) => rank.dp)));
  const [source, target] = [replicaOf(from), replicaOf(to)];
  const [pages, hostPages, newPages] = [
    draw(from.description.pages),
    draw(graph.hostTier!.pages),
    draw(to.description.pages),
  ];
  visitPages(from, source, headBytes, (device, group, packed) => {
    pages.forEach((page, index) => {
      const data = packed(index);
      devices.get(device)!.write(from.pool.buffer(device, group), page * data.byteLength, data);
    });
  });
  await from.pool.pageOut(source, pages, hostPages);
  await to.pool.pageIn(target, newPages, hostPages);
  let checked = 0;
  const checks: Promise<void>[] = [];
  visitPages(to, target, headBytes, (device, group, packed) => {
    const check = async (page: number, index: number): Promise<void> => {
      const expected = packed(index);
      const bytes = expected.byteLength;
      const at = { buffer: to.pool.buffer(device, group), offset: page * bytes, bytes };
      const [found] = await devices.get(device)!.read([at]);
      expect(Buffer.compare(found!, expected)).toBe(0);
      checked++;
    };
    checks.push(...newPages.map(check));
  });
  await Promise.all(checks);
  for (const { pool } of pools) pool.free();
  for (const each of staging.values()) each.free();
  return checked;
}

interface Pool {
  readonly description: RuntimeGraph['pools'][number];
  readonly pool: PagePool;
}

/** Every layer group of a replica's ranks, with what page `index` of a sequence holds there: f32 ids. */
function visitPages(
  { description }: Pool,
  replica: number,
  headBytes: number,
  visit: (device: number, group: number, packed: (index: number) => Uint8Array) => void,
): void {
  const perHead = headBytes / 4;
  for (const rank of description.ranks.filter((candidate) => candidate.dp === replica)) {
    rank.groups.forEach((layers, group) => {
      visit(rank.device, group, (index) => {
        const ids: number[] = [];
        for (let layer = layers[0]; layer < layers[1]; layer++)
          for (let head = rank.heads[0]; head < rank.heads[1]; head++)
            for (let slot = 0; slot < perHead; slot++)
              ids.push(((index * 16 + layer) * 32 + head) * perHead + slot + 1);
        return new Uint8Array(Float32Array.from(ids).buffer);
      });
    });
  }
}
