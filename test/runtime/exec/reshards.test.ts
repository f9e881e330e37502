/**
 * Random pairs of stages on devices of plain memory: after every transition each device holds exactly what the new
 * stage needs there, exactly as much was moved as was predicted and nothing that was there, and no file was read.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan, type CompileResult } from '../../../compiler/compile.js';
import { groupBy } from '../../../compiler/group-by.js';
import { hasPadding, movesByWeight, movesLeft } from '../../../compiler/ir/in-place.js';
import { copyRanges, movesOfDevice, type DeviceMoves } from '../../../compiler/ir/runtime-graph.js';
import type { WeightMove } from '../../../compiler/ir/transitions.js';
import type { Residence } from '../../../compiler/ir/weight-arena.js';
import { writtenBytes } from '../../../compiler/ir/written-bytes.js';
import { isQuantised, type WeightType } from '../../../compiler/model/weight-types.js';
import { deviceResidences, residencesOf, transitionBetween } from '../../../compiler/ir/residences.js';
import { withoutPeers } from '../../../runtime/engine/without-peers.js';
import type { MoveSpan } from '../../../runtime/exec/staging-ring.js';
import { packWeight } from '../../../runtime/weights/pack.js';
import { neededTensors } from '../../../runtime/weights/graph-tensors.js';
import { hostWeights } from '../../../runtime/weights/host-weights.js';
import { randomWeightSource } from '../../../runtime/weights/random-weights.js';
import { makePlan } from '../../compiler/support/make-plan.js';
import { memoryDevice } from '../support/memory-device.js';
import { residentWeights } from '../support/resident.js';
import { movesOf } from '../../compiler/support/reshard-moves.js';

const mesh = fc
  .record({ dp: fc.constantFrom(1, 2), pp: fc.constantFrom(1, 2, 3, 4), tp: fc.constantFrom(1, 2, 4) })
  .filter(({ dp, pp, tp }) => dp * pp * tp <= 8);

/** A model whose sizes are not round, in any element type. */
const plans = fc.record({
  first: mesh,
  second: mesh,
  /** Whether transitions are announced, and spare bytes of the device for that. */
  announced: fc.boolean(),
  spare: fc.constantFrom(0, 1 << 20),
  /** Bytes per second between devices: less than to the host, or more. */
  peers: fc.constantFrom(1e9, 50e9),
  weights: fc.constantFrom<WeightType>('f32', 'f16', 'bf16', 'int8', 'int4'),
  sizes: fc.record({
    ffn: fc.constantFrom(48, 56, 72),
    vocab: fc.constantFrom(61, 64),
    tied: fc.boolean(),
    qkvBias: fc.boolean(),
  }),
});

function compile({
  first,
  second,
  peers,
  weights,
  sizes,
}: typeof plans extends fc.Arbitrary<infer T> ? T : never): Pick<CompileResult, 'runtime' | 'transitions'> {
  const plan = makePlan({
    // Blocks of 32 columns are not cut.
    shape: isQuantised(weights) ? { ...sizes, headDim: 16, ffn: 128 } : sizes,
    weights,
    peerBandwidth: peers,
    stages: [
      { name: 'prefill', mesh: first },
      { name: 'decode', mesh: second },
    ],
  });
  const compiled = compilePlan({ ...plan, residence: 'switch' });
  expect(compiled.diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  return { runtime: withoutPeers(compiled.runtime), transitions: compiled.transitions };
}

/**
 * Of the weights of a residence without padding: bytes that a transition has to upload because the device's memory does
 * not have them in their places and no copy brings them, and bytes that it does upload.
 */
function uploads(
  { weights }: Residence,
  moves: DeviceMoves,
  found: readonly Uint8Array[],
  source: ReturnType<typeof hostWeights>,
): { readonly needed: number; readonly made: number } {
  const inPlace = groupBy(moves.inPlace ?? [], ({ weight }) => weight);
  const left = new Map(
    movesLeft(weights, movesByWeight(moves), inPlace).map((each) => [each.weight.id, each]),
  );
  let [needed, made] = [0, 0];
  weights.forEach((weight, index) => {
    // Norms are the same in all layers, so that one may lie where another is wanted.
    if (hasPadding(weight) || weight.rows === 1) return;
    const { copies = [], pieces = [] } = left.get(weight.id) ?? {};
    const wanted = new Uint32Array(packWeight(weight, source).slice().buffer);
    const there = new Uint32Array(found[index]!.slice().buffer);
    for (const { at, bytes } of copies.flatMap(copyRanges))
      there.set(wanted.subarray(at / 4, (at + bytes) / 4), at / 4);
    needed += 4 * wanted.filter((word, at) => word !== there[at]).length;
    made += writtenBytes(weight, pieces);
  });
  return { needed, made };
}

describe('re-shards', () => {
  it('leave on every device what the stage needs, and move what was predicted and is not there', async () => {
    await fc.assert(
      fc.asyncProperty(plans, async (drawn) => {
        const { runtime: graph, transitions } = compile(drawn);
        const tensors = neededTensors(graph);
        const files = randomWeightSource(7, tensors);
        let reads = 0;
        const counted: typeof files = { ...files, read: (...which) => (reads++, files.read(...which)) };
        const source = hostWeights(counted, tensors.values());
        source.load();
        reads = 0;
        const residences = residencesOf(graph);
        for (const { id } of graph.devices) {
          const mine = deviceResidences(graph, residences, id);
          const pairs = new Map<string, DeviceMoves>();
          for (const from of mine) {
            for (const to of mine) {
              const transition = transitionBetween(graph, residences, from.name, to.name);
              const here = transition && movesOfDevice(transition, id);
              if (here !== undefined) pairs.set(`${from.name}->${to.name}`, here);
            }
          }
          const spans: MoveSpan[] = [];
          const device = memoryDevice();
          const seen = (span: MoveSpan): void => void spans.push(span);
          const resident = residentWeights(device, mine, pairs, source, seen, drawn.spare);
          await resident.load(mine[0]!.name);
          const held = device.live().reduce((sum, { bytes }) => sum + bytes, 0);
          const { peak } = graph.devices.find((each) => each.id === id)!;
          if (pairs.size > 0) expect(held).toBe(peak.weights);
          await resident.verify();
          const cycle = [
            ['prefill', 'decode'],
            ['decode', 'prefill'],
          ] as const;
          for (const [from, to] of pairs.size < 2 ? [] : [...cycle, ...cycle]) {
            spans.length = 0;
            const moves = pairs.get(`${from}->${to}`)!;
            const next = mine.find(({ name }) => name === to)!;
            const places = next.weights.map(({ id: weight }) => resident.place(to, weight));
            const { needed, made } = uploads(next, moves, await device.read(places), source);
            if (drawn.announced) {
              resident.prepare(to, moves);
              await new Promise((resolve) => setImmediate(resolve));
              await resident.verify();
            }
            const uploaded = await resident.transition(to, moves);
            await resident.verify();
            expect(uploaded).toBe(moves.uploadBytes);
            const total = (pick: (span: MoveSpan) => number): number =>
              spans.reduce((sum, span) => sum + pick(span), 0);
            expect(total((span) => span.uploadedBytes)).toBe(uploaded);
            const predicted = (...kinds: readonly WeightMove['kind'][]): number =>
              movesOf(transitions.weights.find((reshard) => reshard.from === from && reshard.to === to)!)
                .filter((move) => move.device === id && kinds.includes(move.kind))
                .reduce((sum, move) => sum + move.bytes, 0);
            expect(uploaded).toBe(predicted('upload', 'peer'));
            expect(total((span) => span.copiedBytes)).toBe(predicted('copy'));
            if (drawn.weights === 'f32') expect(made).toBe(needed);
            expect(device.live().reduce((sum, { bytes }) => sum + bytes, 0)).toBe(held);
          }
        }
        expect(reads).toBe(0);
      }),
      { numRuns: 25 },
    );
  }, 120_000);
});
