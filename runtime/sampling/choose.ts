/**
 * From what the `sample` kernels of the tp ranks report to one token per row.
 *
 * Each rank reduces the logits of its vocabulary slice to a maximum, sums of exponentials and, for truncated
 * sampling, its best candidates. Merged, these decide almost every row exactly; a row they cannot decide (a nucleus
 * wider than the candidates) asks for its full logits.
 */
import { SAMPLE_CANDIDATES, SAMPLE_WORDS } from '../kernels/kernel.js';
import { uniform } from '../kernels/random.js';
import type { GeneratedToken, SamplingParams } from '../engine/types.js';

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
 * @returns the token, or 'needs_logits' when only the full row can decide; then call `chooseFromLogits`
 */
export function choose(
  reports: readonly Uint8Array[],
  row: number,
  params: SamplingParams,
  position: number,
): GeneratedToken | 'needs_logits' {
  const samples = reports.map((report) => readReport(report, row));
  const max = Math.max(...samples.map((sample) => sample.max));
  const logSum = max + Math.log(sum(samples, (sample) => sample.sum * Math.exp(sample.max - max)));
  const mode = sampleMode(params);
  const best = samples.reduce((a, b) =>
    b.score > a.score || (b.score === a.score && b.chosen < a.chosen) ? b : a,
  );
  if (mode < 2) return token(best.chosen, best.logit - logSum, params, []);
  const merged = samples.flatMap((sample) => sample.candidates).sort(byLogit);
  // A candidate is known to be among the best only down to the weakest entry of any full list: what that rank left
  // out comes right after it, equal logits in order of id.
  const [floor] = samples
    .flatMap(({ candidates }) => (candidates.length < SAMPLE_CANDIDATES ? [] : candidates.slice(-1)))
    .sort(byLogit);
  const known = floor === undefined ? merged : merged.filter((candidate) => byLogit(candidate, floor) <= 0);
  if (known.length < params.topLogprobs && floor !== undefined) return 'needs_logits';
  const top = known.slice(0, params.topLogprobs);
  const withTop = (id: number, logit: number): GeneratedToken =>
    token(id, logit - logSum, params, top, logSum);
  if (mode === 3) return withTop(best.chosen, best.logit);
  if (params.temperature === 0 || params.topK === 1) return withTop(known[0]!.id, known[0]!.logit);
  const total = sum(
    samples,
    (sample) => sample.sumAtTemperature * Math.exp((sample.max - max) / params.temperature),
  );
  const drawn = drawTruncated(known, floor === undefined, total, max, params, position);
  return drawn === undefined ? 'needs_logits' : withTop(drawn.id, drawn.logit);
}

/** Chooses from the full logits of a row, `logits[id]` for every id of the vocabulary. */
export function chooseFromLogits(
  logits: Float32Array,
  params: SamplingParams,
  position: number,
): GeneratedToken {
  const all: Candidate[] = Array.from(logits, (logit, id) => ({ id, logit })).sort(byLogit);
  const max = all[0]!.logit;
  const logSum = max + Math.log(sum(all, ({ logit }) => Math.exp(logit - max)));
  const total = sum(all, ({ logit }) => Math.exp((logit - max) / params.temperature));
  const drawn = params.temperature === 0 ? all[0]! : drawTruncated(all, true, total, max, params, position)!;
  return token(drawn.id, drawn.logit - logSum, params, all.slice(0, params.topLogprobs), logSum);
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

function token(
  id: number,
  logprob: number,
  params: SamplingParams,
  top: readonly Candidate[],
  logSum = 0,
): GeneratedToken {
  return {
    id,
    ...(params.logprobs || params.topLogprobs > 0 ? { logprob } : {}),
    ...(params.topLogprobs > 0
      ? { top: top.map((candidate) => ({ id: candidate.id, logprob: candidate.logit - logSum })) }
      : {}),
  };
}

function byLogit(a: Candidate, b: Candidate): number {
  return b.logit - a.logit || a.id - b.id;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
}
