/**
 * The random numbers of sampling. They are pure functions of (seed, position, token id), so that a token does not
 * depend on the batch, the sharding or the device. The kernel has the same integer hash in WGSL.
 */

/** One round of the PCG hash (RXS-M-XS): a bijection of 32-bit words. */
export function pcg(value: number): number {
  const state = (Math.imul(value, 747796405) + 2891336453) >>> 0;
  const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
}

/** The hash of a (seed, position): what the noise of a row starts from. */
export function rowHash(seed: number, position: number): number {
  return pcg(pcg(seed >>> 0) ^ (position >>> 0));
}

/** Uniform in [0, 1) for a (seed, position). */
export function uniform(seed: number, position: number): number {
  const hash = rowHash(seed, position);
  return (hash * 2 ** 21 + (pcg(hash) >>> 11)) / 2 ** 53;
}

/** Standard Gumbel noise of token `id`: argmax of logit / T + noise draws from softmax(logit / T). */
export function gumbel(seed: number, position: number, id: number): number {
  const bits = pcg(rowHash(seed, position) ^ pcg(id >>> 0));
  return -Math.log(-Math.log1p(-(bits + 0.5) / 2 ** 32));
}

/** WGSL of the above: `rowHash(seed, position) -> u32` and `gumbel(rowHash, id) -> f32`. */
export const RANDOM_WGSL = `
fn pcg(value: u32) -> u32 {
  let state = value * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}
fn rowHash(seed: u32, position: u32) -> u32 { return pcg(pcg(seed) ^ position); }
fn gumbel(row: u32, id: u32) -> f32 {
  let bits = pcg(row ^ pcg(id));
  let v = (f32(bits) + 0.5) * 2.3283064365386963e-10f;
  // -log(1 - v): a series where 1 - v would lose the digits that decide the largest noise.
  let series = v * (1.0 + v * (0.5 + v * (0.33333334f + v * (0.25 + v * (0.2f + v * (0.16666667f + v * 0.14285715f))))));
  let rest = (f32(~bits) + 0.5) * 2.3283064365386963e-10f;
  return -log(select(-log(rest), series, v < 0.1f));
}`.trim();
