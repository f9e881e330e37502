/** Figures as benches print them. */

/** `1.25`: GB/s of bytes per second. */
export function gigabytes(rate: number): string {
  return (rate / 1e9).toFixed(2);
}

/** `87%`: one rate of another. */
export function percentOf(part: number, of: number): string {
  return `${((100 * part) / of).toFixed(0)}%`;
}
