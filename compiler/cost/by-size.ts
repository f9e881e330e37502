/** Figures that are declared for groups of some sizes. */

/** The figure of the nearest declared size at or above that of a group, else of the largest; undefined without any. */
export function figureOf(bySize: Readonly<Record<number, number>>, size: number): number | undefined {
  const sizes = Object.keys(bySize)
    .map(Number)
    .sort((a, b) => a - b);
  const nearest = sizes.find((candidate) => candidate >= size) ?? sizes.at(-1);
  return nearest === undefined ? undefined : bySize[nearest];
}
