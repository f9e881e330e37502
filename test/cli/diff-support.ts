/** What tests of `fulcrum diff` share: files to compare, and what is said of them. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { PlanDiff } from '../../cli/diff/diff.js';
import { runInProcess } from './run-program.js';

/** For plan files of a test, which removes it. */
export const folder = mkdtempSync(join(tmpdir(), 'fulcrum-diff-'));

/** A plan over two devices; `mesh` and `more` are what changes. */
export function planFile(name: string, mesh: string, more = ''): string {
  const file = join(folder, name);
  writeFileSync(
    file,
    `import { workstation } from "std/local"
model m { family: llama, layers: 4, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 64, context: 128, weights: f32 }
workload w { requests: 6, prompt: 20 tokens, output: 8 tokens }
plan p for m on workstation { stage serve: prefill + decode on gpu { mesh ${mesh} }, flow requests -> serve -> results }
${more}`,
  );
  return file;
}

interface Document {
  readonly diffs: PlanDiff[];
  readonly gone: string[];
  readonly new: string[];
}

/** What `diff --json` says of its arguments. */
export async function diffs(...args: string[]): Promise<{
  readonly all: PlanDiff[];
  readonly gone: string[];
  readonly added: string[];
  readonly err: string;
}> {
  const run = await runInProcess('diff', ...args, '--json');
  expect(run.status).toBe(0);
  const { diffs: all, gone, new: added } = JSON.parse(run.out) as Document;
  return { all, gone, added, err: run.err };
}

export const byName = ({ changes }: PlanDiff) => new Map(changes.map((change) => [change.name, change]));
