/** The shipped model's requests, and how many answers to them are exactly right. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from './package-root.js';

export const DEMO_PLAN_FILE = join(PACKAGE_ROOT, 'plans', 'clerk.plan');
const DATA = join(PACKAGE_ROOT, 'plans', 'models', 'clerk', 'data');
export const DEMO_REQUESTS = join(DATA, 'records.jsonl');

export interface Accuracy {
  readonly right: number;
  readonly of: number;
}

function readLines<T>(path: string): readonly T[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as T);
}

interface Answer {
  readonly custom_id: string;
  readonly response: { readonly body: { readonly choices?: readonly { readonly text?: string }[] } } | null;
}

/** Answers of a file of results that equal the expected text, character for character. */
export function accuracyOf(resultsPath: string): Accuracy {
  const expected = readLines<{ readonly custom_id: string; readonly completion: string }>(
    join(DATA, 'expected.jsonl'),
  );
  const answers = new Map(
    readLines<Answer>(resultsPath).map((line) => [line.custom_id, line.response?.body.choices?.[0]?.text]),
  );
  const right = expected.filter((line) => answers.get(line.custom_id) === line.completion).length;
  return { right, of: expected.length };
}
