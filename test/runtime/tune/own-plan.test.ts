/** Which plans a search tries as they are. */
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import { fileHost } from '../../../runtime/file-host.js';
import { isTried } from '../../../runtime/tune/own-plan.js';

const TEXT = `import { workstation } from "std/local"
model m { family: llama, layers: 8, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 64, context: 128, weights: f32 }
plan p for m on workstation {
  stage prefill on gpu { mesh (pp: 4) PREFILL }
  stage decode on gpu { mesh (tp: 4) DECODE }
  kv { tiers: gpu -> host }
  flow requests -> prefill -> decode -> results { RULES }
}
`;

function tried(prefill: string, decode: string, rules: string): boolean {
  const path = resolve('own.plan');
  const text = TEXT.replace('PREFILL', prefill).replace('DECODE', decode).replace('RULES', rules);
  const host = fileHost();
  const { plans, diagnostics } = checkFile(
    { ...host, readText: (each) => (each === path ? text : host.readText(each)) },
    path,
  );
  expect(diagnostics).toEqual([]);
  return isTried(plans[0]!);
}

describe('isTried', () => {
  it.each([
    ['', '', '', true],
    [', microbatch: 48 tokens', ', batch: 3 requests', '', true],
    ['', '', 'to decode when host.full or requests.empty', true],
    ['', '', 'to decode when host.full', false],
    ['', ', replicate vocab', '', false],
    ['', ', override layers[0..1].mlp { replicate ffn }', '', false],
    [', split layers on pp [3, 1, 2, 2]', '', '', false],
    [', split layers on pp [2, 2, 2, 2]', '', '', true],
  ])('with %j, %j and rules %j: %j', (prefill, decode, rules, expected) => {
    expect(tried(prefill, decode, rules)).toBe(expected);
  });
});
