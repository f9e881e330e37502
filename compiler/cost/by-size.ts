/** Figures that a topology declares by the size of a tp group: seconds or bandwidths, for some sizes only. */

/** The figure for the smallest declared size that is at least `size`, else for the largest; undefined without any. */
export function figureOf(bySize: Readonly<Record<number, number>>, size: number): number | undefined {
  const sizes = Object.keys(bySize)
    .map(Number)
    .sort((a, b) => a - b);
  const nearest = sizes.find((candidate) => candidate >= size) ?? sizes.at(-1);
  return nearest === undefined ? undefined : bySize[nearest];
}
