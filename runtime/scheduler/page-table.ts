/**
 * Which page of a list holds which part of a sequence, by position. Where every layer sees a window only, the first pages
 * are given up while the sequence goes on: the others stay at their positions.
 */
export type PageTable = readonly number[];

/** Stands at positions where no page is held. */
export const NO_PAGE = -1;

/** A table that begins at position `first`. */
export function tableFrom(first: number, pages: readonly number[]): PageTable {
  return first === 0 ? pages : [...Array<number>(first).fill(NO_PAGE), ...pages];
}

/** The table with pages at further positions. */
export function withPages(
  table: PageTable,
  positions: readonly number[],
  pages: readonly number[],
): PageTable {
  if (positions.length === 0) return table;
  const all = [...table];
  const last = positions.at(-1)!;
  while (all.length <= last) all.push(NO_PAGE);
  positions.forEach((position, i) => (all[position] = pages[i]!));
  return all;
}

/** The pages themselves. */
export function heldPages(table: PageTable): readonly number[] {
  return table.includes(NO_PAGE) ? table.filter((page) => page !== NO_PAGE) : table;
}

/** Positions at which a page is held. */
export function heldPositions(table: PageTable): number[] {
  return positionsFrom(0, table.length).filter((position) => table[position] !== NO_PAGE);
}

/** Positions of pages from `first` on, up to `end`. */
export function positionsFrom(first: number, end: number): number[] {
  const positions: number[] = [];
  for (let position = first; position < end; position++) positions.push(position);
  return positions;
}

/** Positions in order of which each is among the one or the other. */
export function union(one: readonly number[], other: readonly number[]): readonly number[] {
  if (one.length === 0) return other;
  return [...new Set([...one, ...other])].sort((a, b) => a - b);
}

/** The pages of a table at these positions. */
export function pagesAt(table: PageTable, positions: readonly number[]): number[] {
  return positions.map((position) => table[position] ?? NO_PAGE);
}
