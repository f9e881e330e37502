/**
 * The weight moves of a graph's transitions by themselves, on devices that do nothing else, beside two baselines that
 * bring as many bytes to the same devices: plain writes through Dawn's own staging memory, and unbroken runs through
 * the ring of slots that moves go by. A round of moves is there and back. Rounds of the three alternate; the best of each counts,
 * as neighbours on the machine only ever make it worse. Rates are given on the wall clock and per second of processor
 * time, which other load disturbs less.
 */
import { roundUp } from '../compiler/ir/device-layout.js';
import { movesOfDevice, type RuntimeGraph } from '../compiler/ir/runtime-graph.js';
import type { Device } from '../runtime/device/device.js';
import { openDevices } from '../runtime/device/dawn.js';
import {
  deviceResidences,
  residencesOf,
  transitionBetween,
  weightUrgency,
} from '../compiler/ir/residences.js';
import { withoutPeers } from '../runtime/engine/without-peers.js';
import { createResidentWeights } from '../runtime/exec/resident-weights.js';
import { createStagingRing } from '../runtime/exec/staging-ring.js';
import type { StagingRing } from '../runtime/exec/staging-ring.js';
import { createTurns } from '../runtime/exec/turns.js';
import { neededTensors } from '../runtime/weights/graph-tensors.js';
import { hostWeights } from '../runtime/weights/host-weights.js';
import { randomWeightSource } from '../runtime/weights/random-weights.js';

const ROUNDS = 20;
/** Bytes of one plain write, and of those in flight at once. */
const WRITE_BYTES = 4 * 1024 * 1024;
const WINDOW_BYTES = 32 * 1024 * 1024;

/** Bytes per second. */
export interface Rate {
  readonly wall: number;
  readonly processor: number;
}

export interface MoveRates {
  readonly moves: Rate;
  /** `writeBuffer` into buffers that commands use, so that Dawn stages it. */
  readonly plain: Rate;
  readonly ring: Rate;
}

/** Measures the transitions between two stages that take turns on the same devices. */
export async function measureMoves(
  compiled: RuntimeGraph,
  stages: readonly [string, string],
): Promise<MoveRates> {
  const graph = withoutPeers(compiled);
  const residences = residencesOf(graph);
  const needed = neededTensors(graph);
  const source = hostWeights(randomWeightSource(graph.model.randomSeed ?? 1, needed), needed.values());
  source.load();
  const devices = await openDevices(graph.devices.length);
  const turns = createTurns();
  const pairs = [stages, [stages[1], stages[0]] as const] as const;
  const residents = graph.devices.flatMap(({ id }, i) => {
    const moves = new Map(
      pairs.flatMap(([from, to]) => {
        const mine = movesOfDevice(transitionBetween(graph, residences, from, to)!, id);
        return mine === undefined ? [] : [[`${from}->${to}`, mine] as const];
      }),
    );
    // Devices of one stage alone move nothing.
    if (moves.size === 0) return [];
    const context = { spare: 0, turns, urgency: weightUrgency(graph, residences, id) };
    const mine = deviceResidences(graph, residences, id);
    return [{ moves, weights: createResidentWeights(devices[i]!, mine, moves, source, context) }];
  });
  for (const { weights } of residents) await weights.load(stages[0]);
  const idle = (): Promise<unknown> => Promise.all(devices.map((device) => device.idle()));
  const each = 2 * Math.max(...[...needed.values()].map(({ rows, cols }) => rows * cols));
  const rings = devices.map((device) => createStagingRing(device, Infinity, 0, turns));
  const best: Record<keyof MoveRates, { wall: number; processor: number }> = {
    moves: { wall: 0, processor: 0 },
    plain: { wall: 0, processor: 0 },
    ring: { wall: 0, processor: 0 },
  };
  const time = async (what: keyof MoveRates, work: () => Promise<number>): Promise<void> => {
    const processor = process.cpuUsage();
    const began = performance.now();
    const bytes = await work();
    await idle();
    const seconds = (performance.now() - began) / 1e3;
    const used = process.cpuUsage(processor);
    best[what].wall = Math.max(best[what].wall, bytes / seconds);
    best[what].processor = Math.max(best[what].processor, bytes / ((used.user + used.system) / 1e6));
  };
  // As much as the host copy, so that the baselines read it from no nearer to the processor than moves do.
  const data = new Uint8Array(roundUp(source.bytes(), WRITE_BYTES)).fill(1);
  const targets = devices.map((device) => ({
    device,
    buffer: device.createBuffer('plain', each),
    data,
  }));
  const through = new Map(devices.map((device, i) => [device, rings[i]!]));
  for (let round = 0; round < ROUNDS; round++) {
    let moved = 0;
    await time('moves', async () => {
      for (const [from, to] of pairs) {
        const bytes = await Promise.all(
          residents.map(({ weights, moves }) => weights.transition(to, moves.get(`${from}->${to}`)!)),
        );
        moved += bytes.reduce((sum, more) => sum + more, 0);
      }
      return moved;
    });
    const share = Math.ceil(moved / devices.length / WRITE_BYTES) * WRITE_BYTES;
    await time('plain', () => spread(targets, share, each, writePlainly));
    await time('ring', () =>
      spread(targets, share, each, (target, parts) =>
        writeThrough(through.get(target.device)!, target, parts),
      ),
    );
  }
  for (const device of devices) device.destroy();
  return best;
}

interface Target {
  readonly device: Device;
  readonly buffer: ReturnType<Device['createBuffer']>;
  /** What is written to it, over and over. */
  readonly data: Uint8Array;
}

/** Bytes, and where in the target's buffer they go. */
interface Part {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Has `bytes` written to every target, over and over its buffer. Resolves with the bytes of all. */
async function spread(
  targets: readonly Target[],
  bytes: number,
  size: number,
  write: (target: Target, parts: readonly Part[]) => Promise<void>,
): Promise<number> {
  const within = Math.floor(size / WRITE_BYTES) * WRITE_BYTES;
  const part = (i: number, { data }: Target): Part => {
    const from = (i * WRITE_BYTES) % data.length;
    return { at: (i * WRITE_BYTES) % within, bytes: data.subarray(from, from + WRITE_BYTES) };
  };
  await Promise.all(
    targets.map((target, device) => {
      const count = bytes / WRITE_BYTES;
      return write(
        target,
        Array.from({ length: count }, (_, i) => part(device * count + i, target)),
      );
    }),
  );
  return bytes * targets.length;
}

async function writePlainly({ device, buffer }: Target, parts: readonly Part[]): Promise<void> {
  const other = device.createBuffer('other', 16);
  let written = 0;
  for (const { at, bytes } of parts) {
    // Into an idle buffer that the host can see Dawn writes without staging.
    device.record((commands) => commands.copy(buffer, at, other, 0, 16));
    device.write(buffer, at, bytes);
    written += WRITE_BYTES;
    if (written % WINDOW_BYTES === 0) await device.idle();
  }
  await device.read([{ buffer, offset: 0, bytes: 4 }]);
  device.free(other);
}

async function writeThrough(ring: StagingRing, { buffer }: Target, parts: readonly Part[]): Promise<void> {
  for (const { at, bytes } of parts) {
    const target = { buffer, offset: at, bytes: WRITE_BYTES };
    const delivery = { target, name: 'plain', urgency: 0, clear: () => Promise.resolve() };
    await ring.upload(delivery, { at: 0, stride: WRITE_BYTES, runBytes: WRITE_BYTES, rows: 1, bytes });
  }
  await ring.finish();
}
