/** How many of the first of two lists are the same. */
export function common<T>(one: readonly T[], other: readonly T[]): number {
  const differs = one.findIndex((each, at) => each !== other[at]);
  return Math.min(other.length, differs < 0 ? one.length : differs);
}
