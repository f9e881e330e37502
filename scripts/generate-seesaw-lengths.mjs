/**
 * Writes plans/seesaw/arxiv.jsonl: lengths of 500 requests with what has been published of those of arxiv-summarization.
 * No distribution with two figures has all of that: half of the outputs are short, and a few hold most of the tokens.
 *
 * - On average 2620 and 279 tokens, as in a run of the authors' artifact (500 requests, Llama 3 tokenizer).
 * - Of Vidur's trace of the set (28,257 requests): prompts have a median of 2730 and 90% are below 3702; outputs have a
 *   median of 167, 90% are below 372, and none has more than 4056.
 * - Prompt and output together have 4096 tokens at most, as the artifact selects them.
 *
 * What lies between is assumed. Prompts are spread evenly between these points; outputs are a lognormal up to the 90th
 * percentile and fall off by a power law above it, at the rate that gives the mean. The requests have the midpoints of 500
 * equal parts, so that averages and quantiles hold. Which prompt goes with which output is by chance, but that long outputs
 * get prompts that leave room for them, cut where even the shortest does not; and so is the order.
 */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CONTEXT = 4096;
const PROMPT = { mean: 2620, median: 2730, ninth: 3702, most: 4000 };
const OUTPUT = { mean: 279, median: 167, ninth: 372, most: 4056 };
/** Where the standard normal distribution has 90% below. */
const NINTH_DECILE = 1.2815515655446004;
const PARTS = Array.from({ length: 500 }, (_, i) => (i + 0.5) / 500);

const mean = (values) => values.reduce((sum, each) => sum + each, 0) / values.length;

/** Where a function that rises between two points has a value. */
function solve(low, high, value, of) {
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (of(middle) < value) low = middle;
    else high = middle;
  }
  return low;
}

/** Of the standard normal distribution (Abramowitz and Stegun 26.2.17, to 7.5e-8). */
function partBelow(x) {
  const t = 1 / (1 + 0.2316419 * Math.abs(x));
  const series = [0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429];
  const sum = series.reduceRight((sofar, each) => (sofar + each) * t, 0);
  const above = (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * sum;
  return x < 0 ? above : 1 - above;
}

function outputs() {
  const { median, ninth, most } = OUTPUT;
  const spread = Math.log(ninth / median) / NINTH_DECILE;
  const body = (part) => median * Math.exp(spread * solve(-8, 8, part, partBelow));
  const tail = (part, rate) => (ninth ** -rate - part * (ninth ** -rate - most ** -rate)) ** (-1 / rate);
  const all = (rate) => PARTS.map((part) => (part < 0.9 ? body(part) : tail((part - 0.9) * 10, rate)));
  // The higher the rate, the less is far out.
  return all(-solve(-5, -0.01, OUTPUT.mean, (rate) => mean(all(-rate)))).map(Math.round);
}

function prompts() {
  const { median, ninth, most } = PROMPT;
  const between = (low, high, part) => low + (high - low) * part;
  const all = (least) =>
    PARTS.map((part) => {
      if (part < 0.5) return between(least, median, part / 0.5);
      return part < 0.9
        ? between(median, ninth, (part - 0.5) / 0.4)
        : between(ninth, most, (part - 0.9) * 10);
    });
  return all(solve(1, median, PROMPT.mean, (least) => mean(all(least)))).map(Math.round);
}

/** Numbers from 0 to 1, the same every time (mulberry32). */
function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = randomNumbers(1);
const left = prompts();
const requests = outputs()
  .toReversed()
  .map((output) => {
    // In order of length: as many of those that are left go with it.
    const fitting = left.findLastIndex((prompt) => prompt + output <= CONTEXT) + 1;
    const [prompt] = left.splice(Math.floor(random() * Math.max(1, fitting)), 1);
    return { prompt_tokens: Math.min(prompt, CONTEXT - output), output_tokens: output, place: random() };
  })
  .sort((a, b) => a.place - b.place);
const lines = requests.map(({ place: _place, ...lengths }) => `${JSON.stringify(lengths)}\n`);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
writeFileSync(join(root, 'plans', 'seesaw', 'arxiv.jsonl'), lines.join(''));
