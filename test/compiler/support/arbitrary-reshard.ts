/** Random pairs of stages on the same devices: meshes, device orders, replicas, shapes and element types. */
import fc from 'fast-check';
import type { DType } from '../../../compiler/model/shape.js';
import { TP_DIMS } from '../../../compiler/check/plan/sharding.js';
import type { Mesh, TpDim } from '../../../compiler/plan/plan.js';
import { FAMILY_PARTS } from './family-shapes.js';
import { evenSplit, type PlanOptions } from './make-plan.js';

/** Meshes of `count` devices. */
export function meshesOf(count: number): readonly Mesh[] {
  const sizes = Array.from({ length: count }, (_, index) => index + 1);
  return sizes.flatMap((dp) =>
    sizes.flatMap((pp) => {
      const tp = count / (dp * pp);
      return Number.isInteger(tp) ? [{ dp, pp, tp }] : [];
    }),
  );
}

/** Dimensions that tp splits: mostly all, else any of them. */
const arbitraryPlacement: fc.Arbitrary<readonly TpDim[]> = fc.oneof(
  fc.constant(TP_DIMS),
  fc.subarray([...TP_DIMS]),
);

/** Prefill and decode over 1..8 shared devices, each with a mesh, an order and a layer split of its own. */
export const arbitraryReshard: fc.Arbitrary<PlanOptions> = fc
  .record({
    devices: fc.constantFrom(1, 2, 3, 4, 6, 8),
    pick: fc.tuple(fc.nat(), fc.nat()),
    shuffle: fc.array(fc.nat(), { minLength: 8, maxLength: 8 }),
    layers: fc.integer({ min: 3, max: 8 }),
    kvHeads: fc.constantFrom(1, 2, 3, 4, 6, 8, 24),
    groups: fc.integer({ min: 1, max: 2 }),
    headDim: fc.constantFrom(2, 4),
    hidden: fc.integer({ min: 3, max: 9 }),
    ffn: fc.integer({ min: 1, max: 3 }),
    vocab: fc.integer({ min: 5, max: 21 }),
    dtype: fc.constantFrom<DType>('f32', 'f16', 'bf16'),
    flags: fc.record({
      tied: fc.boolean(),
      qkvBias: fc.boolean(),
      outputBias: fc.boolean(),
      mlpBias: fc.boolean(),
      qkNorm: fc.boolean(),
    }),
    family: fc.constantFrom(...Object.keys(FAMILY_PARTS)),
    front: fc.boolean(),
    onTp: fc.tuple(arbitraryPlacement, arbitraryPlacement),
  })
  .chain((drawn) => {
    const { kvHeads, devices } = drawn;
    const heads = 24 * drawn.groups;
    const fits = ({ pp, tp }: Mesh): boolean =>
      (kvHeads % tp === 0 || tp % kvHeads === 0) && heads % tp === 0 && pp <= drawn.layers;
    const meshes = meshesOf(devices).filter((mesh) => fits(mesh));
    const mesh = (index: number): Mesh => meshes[drawn.pick[index]! % meshes.length]!;
    const order = Array.from({ length: devices }, (_, id) => id).sort(
      (a, b) => drawn.shuffle[a]! - drawn.shuffle[b]! || a - b,
    );
    const stage = (name: string, index: number): PlanOptions['stages'][number] => {
      const { pp, tp } = mesh(index);
      const split = evenSplit(drawn.layers, pp);
      return {
        name,
        mesh: mesh(index),
        onTp: drawn.onTp[index]!,
        kvReplicas: kvHeads % tp === 0 || !drawn.onTp[index]!.includes('kv_heads') ? 1 : tp / kvHeads,
        devices: index === 0 ? Array.from(order.keys()) : order,
        layerSplit: drawn.front ? split : [...split].reverse(),
      };
    };
    return fc.constant<PlanOptions>({
      shape: {
        layers: drawn.layers,
        hidden: drawn.hidden,
        heads,
        kvHeads,
        headDim: drawn.headDim,
        ffn: drawn.ffn * 24,
        vocab: drawn.vocab,
        ...drawn.flags,
        ...FAMILY_PARTS[drawn.family],
      },
      weights: drawn.dtype,
      stages: [stage('prefill', 0), stage('decode', 1)],
    });
  });
