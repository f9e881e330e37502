/**
 * From what the `sample` kernels of the tp ranks report to one token per row.
 *
 * Each rank reduces the logits of its vocabulary slice to a maximum, sums of exponentials and, for truncated
 * sampling, its best candidates. Merged, these decide almost every row exactly; a row they cannot decide (a nucleus
 * wider than the candidates) asks for its full logits.
 */
import { SAMPLE_CANDIDATES, SAMPLE_WORDS, isBanned } from '../kernels/kernel.js';
import { uniform } from '../kernels/random.js';
import type { GeneratedToken, SamplingParams } from '../engine/types.js';

/** Of a row whose logits are no numbers, as they come of weights that are none: no token is better than another. */
export type NotFinite = 'not_finite';

/** One rank's report for one row. */
interface RankSample {
  readonly chosen: number;
  readonly score: number;
  readonly logit: number;
  readonly max: number;
  readonly sumAtTemperature: number;
  readonly sum: number;
  readonly candidates: readonly Candidate[];
}

interface Candidate {
  readonly id: number;
  readonly logit: number;
}

/**
 * How the kernel must treat a row: see `runtime/kernels/kernel.ts`. Asking for alternatives only adds to the report;
 * it does not change how the token is drawn.
 */
export function sampleMode(params: SamplingParams): 0 | 1 | 2 | 3 {
  const alternatives = params.topLogprobs > 0;
  if (params.temperature === 0 || params.topK === 1) return alternatives ? 2 : 0;
  if (params.topK > 0 || params.topP < 1 || params.minP > 0) return 2;
  return alternatives ? 3 : 1;
}

/**
 * Chooses the token of row `row`.
 *
 * @param reports output of the `sample` kernel of each tp rank, rank order
 * @param position position the token will take
 * @param plain what log-probabilities come from where the logits of `reports` were adjusted
 * @returns the token; 'needs_logits' when only the full row can decide; then call `chooseFromLogits`
 */
export function choose(
  reports: readonly Uint8Array[],
  row: number,
  params: SamplingParams,
  position: number,
  plain?: PlainLogits,
): GeneratedToken | 'needs_logits' | NotFinite {
  const merged = merge(reports.map((report) => readReport(report, row)));
  // Every logit is in it, so that one which is no number shows.
  if (Number.isNaN(merged.logSum)) return 'not_finite';
  const drawn = draw(merged, params, position);
  if (drawn === undefined) return 'needs_logits';
  if (plain !== undefined) return describePlain(drawn, params, plain);
  if (merged.known.length < params.topLogprobs && !merged.complete) return 'needs_logits';
  return describe(drawn, params, merged.known, merged.logSum);
}

/** Chooses from the full logits of a row, `logits[id]` for every id of the vocabulary. */
export function chooseFromLogits(
  logits: Float32Array,
  params: SamplingParams,
  position: number,
  plain?: PlainLogits,
): GeneratedToken {
  const all: Candidate[] = Array.from(logits, (logit, id) => ({ id, logit })).sort(byLogit);
  const max = all[0]!.logit;
  const logSum = max + Math.log(sum(all, ({ logit }) => Math.exp(logit - max)));
  const total = sum(all, ({ logit }) => Math.exp((logit - max) / params.temperature));
  const drawn =
    params.temperature === 0
      ? all[0]!
      : drawTruncated(withoutBanned(all), true, total, max, params, position)!;
  return plain === undefined ? describe(drawn, params, all, logSum) : describePlain(drawn, params, plain);
}

/** A row's logits as they were before adjustments. */
export interface PlainLogits {
  /** Reports of the tp ranks on them, for this row. */
  readonly reports: readonly Uint8Array[];
  readonly row: number;
  /** The logit of a token before adjustments. */
  readonly original: (id: number, adjusted: number) => number;
}

/** The reports of all ranks on one row as one. */
interface MergedSample {
  /** Best by score. */
  readonly best: RankSample;
  readonly max: number;
  /** Log of the sum of exp(logit). */
  readonly logSum: number;
  readonly samples: readonly RankSample[];
  /** The best candidates of the vocabulary in order. */
  readonly known: readonly Candidate[];
  /** Whether `known` is the whole vocabulary. */
  readonly complete: boolean;
}

function merge(samples: readonly RankSample[]): MergedSample {
  const max = Math.max(...samples.map((sample) => sample.max));
  const candidates = samples.flatMap((sample) => sample.candidates).sort(byLogit);
  // A candidate is known to be among the best only down to the weakest entry of any full list: what that rank left
  // out comes right after it, equal logits in order of id.
  const [floor] = samples
    .flatMap((sample) => (sample.candidates.length < SAMPLE_CANDIDATES ? [] : sample.candidates.slice(-1)))
    .sort(byLogit);
  return {
    best: samples.reduce((a, b) =>
      b.score > a.score || (b.score === a.score && b.chosen < a.chosen) ? b : a,
    ),
    max,
    logSum: max + Math.log(sum(samples, (sample) => sample.sum * Math.exp(sample.max - max))),
    samples,
    known:
      floor === undefined ? candidates : candidates.filter((candidate) => byLogit(candidate, floor) <= 0),
    complete: floor === undefined,
  };
}

/** The token of a row; undefined when only its full logits can decide. */
function draw(merged: MergedSample, params: SamplingParams, position: number): Candidate | undefined {
  const { best, known, complete, max } = merged;
  const mode = sampleMode(params);
  if (mode !== 2) return { id: best.chosen, logit: best.logit };
  if (params.temperature === 0 || params.topK === 1) return known[0];
  const total = sum(
    merged.samples,
    (sample) => sample.sumAtTemperature * Math.exp((sample.max - max) / params.temperature),
  );
  const left = withoutBanned(known);
  return drawTruncated(left, complete || left.length < known.length, total, max, params, position);
}

/** Banned tokens come last: where one is known, all others are. Were all banned, the best would stand in. */
function withoutBanned(known: readonly Candidate[]): readonly Candidate[] {
  const end = known.findIndex(({ logit }) => isBanned(logit));
  return end < 0 ? known : known.slice(0, Math.max(1, end));
}

/**
 * Draws among the candidates left by top_k, then top_p (mass relative to what top_k left), then min_p (relative to
 * the best). Undefined when the list may be too short to know what is left.
 *
 * @param known the best candidates in order; `complete` when they are all there are
 * @param total sum of exp((logit - max) / T) over the whole vocabulary
 */
function drawTruncated(
  known: readonly Candidate[],
  complete: boolean,
  total: number,
  max: number,
  params: SamplingParams,
  position: number,
): Candidate | undefined {
  const { temperature, topK, topP, minP } = params;
  if (topK > known.length && !complete) return undefined;
  const byK = topK > 0 ? known.slice(0, topK) : known;
  const weight = (candidate: Candidate): number => Math.exp((candidate.logit - max) / temperature);
  const mass = topK > 0 ? sum(byK, weight) : total;
  const kept: { readonly candidate: Candidate; readonly weight: number }[] = [];
  let covered = 0;
  let closed = topK > 0 || complete;
  for (const candidate of byK) {
    const w = weight(candidate);
    if (w < minP || (kept.length > 0 && topP < 1 && covered >= topP * mass)) {
      closed = true;
      break;
    }
    kept.push({ candidate, weight: w });
    covered += w;
  }
  if (topP < 1 && covered >= topP * mass) closed = true;
  if (!closed) return undefined;
  let left = uniform(params.seed, position) * covered;
  for (const { candidate, weight: w } of kept) {
    left -= w;
    if (left < 0) return candidate;
  }
  return kept.at(-1)!.candidate;
}

function readReport(report: Uint8Array, row: number): RankSample {
  const words = new Uint32Array(report.buffer, report.byteOffset + row * SAMPLE_WORDS * 4, SAMPLE_WORDS);
  const floats = new Float32Array(words.buffer, words.byteOffset, SAMPLE_WORDS);
  return {
    chosen: words[0]!,
    score: floats[1]!,
    logit: floats[2]!,
    max: floats[3]!,
    sumAtTemperature: floats[4]!,
    sum: floats[5]!,
    candidates: Array.from({ length: words[6]! }, (_, i) => ({
      id: words[8 + i]!,
      logit: floats[8 + SAMPLE_CANDIDATES + i]!,
    })),
  };
}

/** A token with the log-probabilities that were asked for; `known` begins with the best alternatives. */
function describe(
  { id, logit }: Candidate,
  { logprobs, topLogprobs }: SamplingParams,
  known: readonly Candidate[],
  logSum: number,
): GeneratedToken {
  const top = known.slice(0, topLogprobs);
  return {
    id,
    ...(logprobs || topLogprobs > 0 ? { logprob: logit - logSum } : {}),
    ...(topLogprobs > 0
      ? { top: top.map((candidate) => ({ id: candidate.id, logprob: candidate.logit - logSum })) }
      : {}),
  };
}

/** Ranks report at least as many candidates as anyone may ask for, so the plain reports always suffice. */
function describePlain({ id, logit }: Candidate, params: SamplingParams, plain: PlainLogits): GeneratedToken {
  const { known, logSum } = merge(plain.reports.map((report) => readReport(report, plain.row)));
  return describe({ id, logit: plain.original(id, logit) }, params, known, logSum);
}

function byLogit(a: Candidate, b: Candidate): number {
  return b.logit - a.logit || a.id - b.id;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
}
