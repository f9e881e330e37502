/**
 * Where the weights of every residence lie in a device's memory, planned once.
 *
 * Residences are never on the device at the same time, so all of them are laid over one arena as large as the
 * largest. A weight that a transition keeps has the same place on both sides. To leave the rest in one piece, kept
 * weights come first:
 *
 *     prefill  | norms | layer 0 . layer 1 .................. |
 *     decode   | norms | 1/4 of layer 0 . 1/4 of layer 1 ...  |
 */
import type { RuntimeTransition, RuntimeWeight } from '../../compiler/ir/runtime-graph.js';
import { roundUp } from '../../compiler/ir/runtime-graph.js';
import type { Device, DeviceBuffer } from '../device/device.js';

/** A residence: weights that are on the device at the same time, under one name. */
export interface Residence {
  readonly name: string;
  readonly weights: readonly RuntimeWeight[];
}

export type DeviceTransition = RuntimeTransition['devices'][number];

/** A weight's place: `bytes` from `offset` of an arena buffer. */
export interface Place {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** Transitions by `from->to` of residence names. */
export type TransitionsByResidence = ReadonlyMap<string, DeviceTransition>;

/** Largest arena buffer; a device may set a lower bound. */
const CHUNK_BYTES = 2 ** 30;

interface Spot {
  readonly start: number;
  readonly bytes: number;
}

/** Allocates the arena and returns the place of every weight by residence and weight id. */
export function placeWeights(
  device: Device,
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
): ReadonlyMap<string, ReadonlyMap<string, Place>> {
  const largest = Math.max(0, ...residences.flatMap(({ weights }) => weights.map(({ bytes }) => bytes)));
  const alignment = Math.max(16, device.limits.offsetAlignment);
  // Places are aligned in the one space, so they are within a chunk only if chunks begin at aligned addresses.
  const usual = roundDown(Math.min(CHUNK_BYTES, device.limits.maxBufferBytes), alignment);
  const chunk = Math.max(roundUp(largest, alignment), usual);
  const spots = layOut(residences, transitions, chunk, alignment);
  const ends: number[] = [];
  for (const mine of spots.values()) {
    for (const { start, bytes } of mine.values()) {
      const index = Math.floor(start / chunk);
      ends[index] = Math.max(ends[index] ?? 0, (start % chunk) + bytes);
    }
  }
  const buffers = Array.from(ends, (bytes, i) => device.createBuffer(`weights ${i}`, bytes ?? 16));
  return new Map(
    [...spots].map(([residence, mine]) => [
      residence,
      new Map(
        [...mine].map(([weight, { start, bytes }]) => [
          weight,
          { buffer: buffers[Math.floor(start / chunk)]!, offset: start % chunk, bytes },
        ]),
      ),
    ]),
  );
}

function roundDown(value: number, multiple: number): number {
  return Math.floor(value / multiple) * multiple;
}

/** Addresses in one space that is cut into chunks; no weight crosses a cut. */
function layOut(
  residences: readonly Residence[],
  transitions: TransitionsByResidence,
  chunk: number,
  alignment: number,
): Map<string, Map<string, Spot>> {
  const spots = new Map<string, Map<string, Spot>>();
  residences.forEach((residence, index) => {
    const mine = new Map<string, Spot>();
    for (const earlier of residences.slice(0, index)) {
      for (const { weight, old } of transitions.get(`${earlier.name}->${residence.name}`)?.keep ?? []) {
        const spot = spots.get(earlier.name)!.get(old)!;
        if ((mine.get(weight) ?? spot).start !== spot.start) {
          throw new Error(`${weight} would have to stay in two places`);
        }
        mine.set(weight, spot);
      }
    }
    const fixed = [...mine.values()].sort((a, b) => a.start - b.start);
    const lasting = keptBy(residence.name, transitions);
    const rest = residence.weights.filter(({ id }) => !mine.has(id));
    const inOrder = [
      ...rest.filter(({ id }) => lasting.has(id)),
      ...rest.filter(({ id }) => !lasting.has(id)),
    ];
    let at = 0;
    for (const { id, bytes } of inOrder) {
      at = nextFree(at, bytes, fixed, chunk, alignment);
      mine.set(id, { start: at, bytes });
      at += bytes;
    }
    spots.set(residence.name, mine);
  });
  return spots;
}

/** First aligned address from `at` where `bytes` neither touch a fixed spot nor cross a chunk. */
function nextFree(
  at: number,
  bytes: number,
  fixed: readonly Spot[],
  chunk: number,
  alignment: number,
): number {
  let start = roundUp(at, alignment);
  for (;;) {
    if (Math.floor(start / chunk) !== Math.floor((start + bytes - 1) / chunk)) start = roundUp(start, chunk);
    const end = start + bytes;
    const hit = fixed.find((spot) => spot.start < end && start < spot.start + spot.bytes);
    if (hit === undefined) return start;
    start = roundUp(hit.start + hit.bytes, alignment);
  }
}

/** Weights of a residence that some transition from it keeps. */
function keptBy(residence: string, transitions: TransitionsByResidence): ReadonlySet<string> {
  return new Set(
    [...transitions]
      .filter(([pair]) => pair.startsWith(`${residence}->`))
      .flatMap(([, moves]) => moves.keep.map(({ old }) => old)),
  );
}
