/**
 * What a schema costs the host, in one run: random answers to schemas over a made-up vocabulary of 128,000 tokens (all
 * bytes, then words with and without a space before them, JSON's punctuation and runs of it). A step takes the mask of the
 * token that may come next and accepts a token; it is dear where nothing has stood before, and cheap afterwards.
 *
 *   npm run bench:structured
 */
import { jsonAnswers } from '../runtime/structured/json-answers.js';
import { readSchema } from '../runtime/structured/schema.js';
import type { ByteVocabulary } from '../runtime/tokenizer/byte-vocabulary.js';
import { seededRandom } from '../test/fixtures/random.js';

const VOCAB = 128_000;
const END = 0;
const ANSWERS = 20;
const STEPS = 120;

const SCHEMAS: Readonly<Record<string, object>> = {
  'free text in five places': {
    type: 'object',
    properties: Object.fromEntries(
      ['name', 'street', 'city', 'notes', 'mail'].map((name) => [name, { type: 'string' }]),
    ),
    required: ['name', 'street', 'city', 'notes', 'mail'],
  },
  'text of 200 characters at most': { type: 'array', items: { type: 'string', maxLength: 200 } },
  'numbers and choices': {
    type: 'array',
    items: {
      type: 'object',
      properties: {
        id: { type: 'integer' },
        score: { type: 'number' },
        kind: { enum: ['buy', 'sell', 'hold'] },
      },
      required: ['id', 'score', 'kind'],
    },
  },
  'any object': { type: 'object' },
};

function madeUpVocabulary(): ByteVocabulary {
  const random = seededRandom(1);
  const pick = (text: string): string => text[random.below(text.length)]!;
  const tokens = new Set(['']);
  for (let byte = 0; byte < 256; byte++)
    tokens.add(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  while (tokens.size < 8_000)
    tokens.add(Array.from({ length: 1 + random.below(5) }, () => pick('{}[]",: .-0123')).join(''));
  while (tokens.size < VOCAB) {
    const word = Array.from({ length: 2 + random.below(9) }, () => pick('etaoinshrdlucmfäß漢字')).join('');
    tokens.add(random.below(2) === 0 ? word : `▁${word}`);
  }
  return { kind: 'byte_fallback', tokens: [...tokens] };
}

/** Millims of this process alone, other processes and waiting left out. */
function now(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const vocabulary = madeUpVocabulary();
const begun = now();
const answers = jsonAnswers(vocabulary);
console.log(`vocabulary of ${VOCAB} sorted once: ${(now() - begun).toFixed(0)} ms\n`);
console.log(
  'processor ms of a step                      first answer   answer 2 to 20, median and 95 %   most',
);
for (const [name, schema] of Object.entries(SCHEMAS)) {
  const read = readSchema(schema);
  if (read.kind === 'refused') throw new Error(read.why);
  const random = seededRandom(2);
  const steps = Array.from({ length: ANSWERS }, (): number[] => {
    const constraint = answers.follow(read.shape, [END]);
    const times: number[] = [];
    while (times.length < STEPS) {
      const start = now();
      const mask = constraint.mask();
      let ms = now() - start;
      const id = randomId(mask, () => random.below(VOCAB));
      const accepting = now();
      const after = constraint.accept(id);
      ms += now() - accepting;
      times.push(ms);
      if (after !== 'open') break;
    }
    return times;
  });
  const [first, ...others] = steps;
  const later = others.flat().sort((a, b) => a - b);
  const mean = first!.reduce((sum, ms) => sum + ms, 0) / first!.length;
  const at = (part: number): string => later[Math.floor(part * (later.length - 1))]!.toFixed(3);
  console.log(
    `${name.padEnd(32)}  ${mean.toFixed(2).padStart(12)}   ${at(0.5).padStart(24)} ${at(0.95)} ${at(1).padStart(8)}`,
  );
}

/** One of the ids that a mask allows. */
function randomId(mask: Uint32Array, draw: () => number): number {
  for (let tries = 0; tries < 1000; tries++) {
    const id = draw();
    if ((mask[id >>> 5]! >>> (id & 31)) & 1) return id;
  }
  const word = mask.findIndex((bits) => bits !== 0);
  return word * 32 + 31 - Math.clz32(mask[word]! & -mask[word]!);
}
