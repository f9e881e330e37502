/** Random layouts: meshes of one to three axes, shapes of two or three dimensions, and layouts that lie on them. */
import fc from 'fast-check';
import type { DimName } from '../../../compiler/ir/logical.js';
import type { MeshAxis, Sharding } from '../../../compiler/ir/sharded.js';
import { isLegal, MESH_AXES, type LayoutShape, type LinkedMesh } from '../../../compiler/reshard/layouts.js';

const NAMES: readonly DimName[] = ['tokens', 'heads', 'ffn'];

/** Up to `axes` axes of more than one rank, each with a link of its own. */
export function arbitraryMesh(axes: number): fc.Arbitrary<LinkedMesh> {
  const link = fc.record({
    latency: fc.constantFrom(0, 1e-6, 1e-5),
    bandwidth: fc.constantFrom(1e9, 4e9, 50e9),
  });
  return fc.record({
    mesh: fc
      .array(fc.constantFrom(2, 3, 4), { minLength: axes, maxLength: axes })
      .map(([dp = 1, tp = 1, pp = 1]) => ({ dp, pp, tp })),
    links: fc.record({ dp: link, pp: link, tp: link }),
  });
}

/** Sizes that all or only some of the axes divide. */
export const arbitraryShape: fc.Arbitrary<LayoutShape> = fc
  .array(fc.constantFrom(6, 10, 12, 24), { minLength: 2, maxLength: 3 })
  .map((sizes) => ({ dims: sizes.map((size, index) => ({ name: NAMES[index]!, size })), elementBytes: 4 }));

/** Every legal layout of a shape on a mesh: each axis unused, partial, or at some place of some dimension. */
export function allLayouts(shape: LayoutShape, { mesh }: LinkedMesh): readonly Sharding[] {
  const axes = MESH_AXES.filter((axis) => mesh[axis] > 1);
  let layouts: Sharding[] = [{ dims: {}, partial: [] }];
  for (const axis of axes) layouts = layouts.flatMap((layout) => [layout, ...withAxis(layout, axis, shape)]);
  return layouts.filter((layout) => isLegal(layout, shape, mesh));
}

function withAxis(layout: Sharding, axis: MeshAxis, shape: LayoutShape): Sharding[] {
  const split = shape.dims.flatMap(({ name }) => {
    const axes = layout.dims[name] ?? [];
    return Array.from({ length: axes.length + 1 }, (_, place) => ({
      ...layout,
      dims: { ...layout.dims, [name]: [...axes.slice(0, place), axis, ...axes.slice(place)] },
    }));
  });
  return [{ ...layout, partial: [...layout.partial, axis] }, ...split];
}

/** Layouts without a partial sum: these can all be reached from each other. */
export function wholeLayouts(shape: LayoutShape, linked: LinkedMesh): readonly Sharding[] {
  return allLayouts(shape, linked).filter((layout) => layout.partial.length === 0);
}
