/**
 * Random pairs of stages on devices of plain memory: after every transition each device holds exactly what the new
 * stage needs there, no more was uploaded than the plan says, and no file was read.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePlan } from '../../../compiler/compile.js';
import { movesOfDevice, type DeviceMoves, type RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';
import type { DType } from '../../../compiler/model/shape.js';
import { deviceResidences, residencesOf, transitionBetween } from '../../../compiler/ir/residences.js';
import { withoutPeers } from '../../../runtime/engine/without-peers.js';
import type { MoveSpan } from '../../../runtime/exec/staging-ring.js';
import { neededTensors } from '../../../runtime/weights/graph-tensors.js';
import { hostWeights } from '../../../runtime/weights/host-weights.js';
import { randomWeightSource } from '../../../runtime/weights/random-weights.js';
import { makePlan } from '../../compiler/support/make-plan.js';
import { memoryDevice } from '../support/memory-device.js';
import { residentWeights } from '../support/resident.js';

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
  weights: fc.constantFrom<DType>('f32', 'bf16'),
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
  weights,
  sizes,
}: typeof plans extends fc.Arbitrary<infer T> ? T : never): RuntimeGraph {
  const plan = makePlan({
    shape: sizes,
    weights,
    stages: [
      { name: 'prefill', mesh: first },
      { name: 'decode', mesh: second },
    ],
  });
  const compiled = compilePlan({ ...plan, residence: 'switch' });
  expect(compiled.diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
  return withoutPeers(compiled.runtime);
}

describe('re-shards', () => {
  it('leave on every device what the stage needs, from there and back', async () => {
    await fc.assert(
      fc.asyncProperty(plans, async (drawn) => {
        const graph = compile(drawn);
        const needed = neededTensors(graph);
        const files = randomWeightSource(7, needed);
        let reads = 0;
        const counted: typeof files = { ...files, read: (...which) => (reads++, files.read(...which)) };
        const source = hostWeights(counted, needed.values());
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
          let at = mine[0]!.name;
          for (const to of pairs.size < 2 ? [] : ['decode', 'prefill', 'decode', 'prefill']) {
            spans.length = 0;
            const moves = pairs.get(`${at}->${to}`)!;
            if (drawn.announced) {
              resident.prepare(to, moves);
              await new Promise((resolve) => setImmediate(resolve));
              await resident.verify();
            }
            const uploaded = await resident.transition(to, moves);
            await resident.verify();
            // Halves of words come with their neighbours.
            if (drawn.weights === 'f32') expect(uploaded).toBeLessThanOrEqual(moves.uploadBytes);
            expect(spans.reduce((sum, span) => sum + span.uploadedBytes, 0)).toBe(uploaded);
            expect(device.live().reduce((sum, { bytes }) => sum + bytes, 0)).toBe(held);
            at = to;
          }
        }
        expect(reads).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});
