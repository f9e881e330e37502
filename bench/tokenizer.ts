/**
 * Times encoding a batch of prompts in one thread and in the worker pool, in one run: 2,000 prompts of about 2,000
 * characters, put together from the demo's records with a seed. Workers have loaded their tokenizers before the clock
 * starts. Also says for how long, in one piece, the main thread did nothing else: that is what an
 * engine in the same thread would wait for.
 *
 *   npm run bench:tokenizer
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileHost } from '../runtime/file-host.js';
import { checkFile } from '../compiler/check/check-file.js';
import { openEncoderPool } from '../runtime/jobs/encoder-pool.js';
import { localEncoder, type PromptEncoder, type PromptInput } from '../runtime/jobs/prompt-encoder.js';
import { loadTokenizer } from '../runtime/tokenizer/tokenizer.js';
import { seededRandom } from '../test/fixtures/random.js';

const MODEL = 'plans/models/clerk';
const PROMPTS = 2000;
const CHARACTERS = 2000;
/** As many as a batch encodes together. */
const BLOCK = 1024;
const ROUNDS = 3;

function prompts(): PromptInput[] {
  const random = seededRandom(1);
  const records = readFileSync(`${MODEL}/data/records.jsonl`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { body: { prompt: string } }).body.prompt);
  return Array.from({ length: PROMPTS }, () => {
    let text = '';
    while (text.length < CHARACTERS) text += records[random.below(records.length)]!;
    return { input: { kind: 'text', text: text.slice(0, CHARACTERS) }, addSpecialTokens: true };
  });
}

interface Timing {
  readonly seconds: number;
  /** Longest time between two turns of the event loop. */
  readonly stall: number;
}

/** The best of several rounds. */
async function time(encoder: PromptEncoder, inputs: readonly PromptInput[]): Promise<Timing> {
  await encoder.encode(inputs.slice(0, 64));
  const rounds: Timing[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const begun = performance.now();
    let stall = 0;
    let last = begun;
    const watch = setInterval(() => {
      const now = performance.now();
      stall = Math.max(stall, now - last);
      last = now;
    }, 1);
    for (let at = 0; at < inputs.length; at += BLOCK) await encoder.encode(inputs.slice(at, at + BLOCK));
    clearInterval(watch);
    rounds.push({ seconds: (performance.now() - begun) / 1000, stall: stall / 1000 });
  }
  await encoder.close();
  return rounds.sort((a, b) => a.seconds - b.seconds)[0]!;
}

const inputs = prompts();
const describe = (name: string, { seconds, stall }: Timing, local: Timing): string => {
  const rate = `${(PROMPTS / seconds).toFixed(0)} prompts/s`;
  const ratio = `${(local.seconds / seconds).toFixed(2)}x`;
  return `${name.padEnd(16)} ${seconds.toFixed(2)} s  ${rate}  ${ratio}  main thread held for ${(stall * 1000).toFixed(0)} ms at most`;
};
console.log(`${PROMPTS} prompts of ${CHARACTERS} characters, ${availableParallelism()} cores`);
const plan = checkFile(fileHost(), 'plans/clerk.plan').plans[0]!;
const local = await time(localEncoder(loadTokenizer(MODEL), plan.model.shape.context), inputs);
console.log(describe('one thread', local, local));
for (const workers of [1, 2, 4]) {
  const pool = openEncoderPool({ model: plan.model, modelDirectory: MODEL }, { workers });
  console.log(describe(`pool of ${workers}`, await time(pool, inputs), local));
}
