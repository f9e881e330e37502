import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { RuntimeGraph } from '../../../compiler/ir/runtime-graph.js';
import type { EngineStats } from '../../../runtime/engine/types.js';
import { loadTokenizer } from '../../../runtime/tokenizer/tokenizer.js';
import { referenceModel } from '../../reference/model.js';
import { generate, relativeError } from './generate.js';
import type { GenerateOptions } from './generate.js';

export const CLERK = 'plans/models/clerk';
const STOP_IDS = [1];
const MAX_NEW_TOKENS = 24;

/** Bound on the relative error of logits against the f64 reference. */
const LOGIT_TOLERANCE = 2e-4;

export interface Expected {
  readonly prompt: readonly number[];
  readonly steps: readonly { readonly id: number; readonly logits: Float64Array }[];
}

/** 32 prompts from the shortest to the longest of the demo's requests, every fourth cut to a few tokens. */
function prompts(): number[][] {
  const tokenizer = loadTokenizer(CLERK);
  const lines = readFileSync(`${CLERK}/data/records.jsonl`, 'utf8').trim().split('\n');
  const all = lines.map((line) =>
    tokenizer.encode((JSON.parse(line) as { body: { prompt: string } }).body.prompt, true),
  );
  const picked = all.sort((a, b) => a.length - b.length).filter((_, i) => i % 8 === 0);
  return picked.map((ids, i) => (i % 4 === 0 ? ids.slice(0, 1 + i) : ids));
}

/** What the f64 reference answers to the 32 prompts, or to the first of them. */
export function clerkExpectations(count = Infinity): Expected[] {
  const reference = referenceModel(CLERK);
  return prompts()
    .slice(0, count)
    .map((prompt) => ({
      prompt,
      steps: reference.greedySteps(prompt, MAX_NEW_TOKENS, STOP_IDS),
    }));
}

/** Runs a graph on the prompts, compares ids and logits with the reference, and tells what the engine counted. */
export async function expectReferenceAnswers(
  graph: RuntimeGraph,
  modelDirectory: string,
  expected: readonly Expected[],
  engine: GenerateOptions['engine'] = {},
): Promise<EngineStats> {
  const maxNewTokens = Math.max(...expected.map(({ steps }) => steps.length));
  const { outputs, stats } = await generate(
    graph,
    modelDirectory,
    expected.map(({ prompt }) => prompt),
    { maxNewTokens, stopIds: STOP_IDS, captureLogits: true, engine },
  );
  expect(outputs.map(({ ids }) => ids)).toEqual(expected.map(({ steps }) => steps.map(({ id }) => id)));
  const errors = outputs.flatMap(({ logits }, i) =>
    logits.map((row, step) => relativeError(row, expected[i]!.steps[step]!.logits)),
  );
  expect(errors.length).toBeGreaterThan(0);
  expect(Math.max(...errors)).toBeLessThan(LOGIT_TOLERANCE);
  return stats;
}
