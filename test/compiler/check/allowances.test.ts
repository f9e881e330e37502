/** `//! allow NAME: reason` before an item. */
import { describe, expect, it } from 'vitest';
import { checkAndCompile } from '../../../compiler/check-and-compile.js';
import { formatPlan } from '../../../grammar/format.js';
import { fused } from './marked.js';
import { checkText, memoryHost } from './memory-host.js';

/** A stage whose KV pool holds less than one sequence. */
const TIGHT = fused('mesh (dp: 8)\nmicrobatch: 128 tokens').replace('memory: 16 GB', 'memory: 70 MB');
const ALLOW = '//! allow kv-tight: prompts are short\n';

function check(text: string, files: Readonly<Record<string, string>> = {}) {
  return checkAndCompile(memoryHost({ ...files, 'main.plan': text }), 'main.plan');
}

const slugs = (text: string): string[] => check(text).diagnostics.map(({ slug }) => slug);

describe('a warning', () => {
  it('is there without an allowance', () => {
    expect(slugs(TIGHT)).toEqual(['kv-tight']);
  });

  it.each([
    ['the plan', 'plan p'],
    ['the stage', 'stage serve'],
    ['the line', 'mesh'],
  ])('is allowed before %s, and kept with its reason', (_, item) => {
    const result = check(TIGHT.replace(item, `\n${ALLOW}${item}`));
    expect(result.diagnostics).toEqual([]);
    expect(result.allowed).toMatchObject([
      { diagnostic: { slug: 'kv-tight' }, by: { reason: 'prompts are short' } },
    ]);
  });

  it('is named by its code too, in any layout of the file', () => {
    const formatted = formatPlan(TIGHT.replace('plan p', '//! allow FC0602: prompts are short\nplan p'), 'p');
    expect(formatted.kind).toBe('formatted');
    if (formatted.kind === 'formatted') expect(slugs(formatted.text)).toEqual([]);
  });

  it('is not allowed by a line before another item', () => {
    const before = TIGHT.replace('device d', `${ALLOW}device d`);
    expect(slugs(before)).toEqual(['unused-allowance', 'kv-tight']);
    expect(slugs(TIGHT.replace('microbatch', `${ALLOW}microbatch`)).sort()).toEqual([
      'kv-tight',
      'unused-allowance',
    ]);
  });
});

describe('an allowance', () => {
  it('takes off one warning only, and an error never', () => {
    const wrong = TIGHT.replace('plan p', `${ALLOW}plan p`).replace('dp: 8', 'dp: 7');
    const { diagnostics } = check(wrong);
    expect(diagnostics.map(({ slug }) => slug)).toEqual(['mesh-size']);
  });

  it('of an imported file is neither applied here nor reported as unused', () => {
    const other = `${ALLOW}device e { memory: 1 GB, bandwidth: 1 GB/s, compute: { f32: 1 TFLOPS } }`;
    const { diagnostics } = check(`import { e } from "other.plan"\n${TIGHT}`, { 'other.plan': other });
    expect(diagnostics.map(({ slug }) => slug)).toEqual(['kv-tight']);
  });

  it('is only found unused once the plans are compiled', () => {
    const text = fused('mesh (tp: 4, dp: 2)').replace('plan p', `${ALLOW}plan p`);
    expect(checkText(text).diagnostics).toEqual([]);
    expect(slugs(text)).toEqual(['unused-allowance']);
  });

  it('of a plan that was not looked at is not called unused', () => {
    const other = 'plan q for m on t { stage serve: prefill + decode on gpu { mesh (tp: 4, dp: 2) } }';
    const text = `${TIGHT.replace('plan p', `${ALLOW}plan p`)}\n${other}`;
    const found = (plan?: string): string[] =>
      checkAndCompile(
        memoryHost({ 'main.plan': text }),
        'main.plan',
        plan === undefined ? {} : { plans: [plan] },
      ).diagnostics.map(({ slug }) => slug);
    expect(found()).toEqual([]);
    expect(found('q')).toEqual([]);
    expect(found('p')).toEqual([]);
  });
});
