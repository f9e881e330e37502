import { describe, expect, it } from 'vitest';
import { checkFile } from '../../../compiler/check/check-file.js';
import { CATALOGUE } from '../../../compiler/diagnostics/catalogue.js';
import { syntaxCodes } from '../../../grammar/syntax-problems.js';
import { compileAndSimulate } from '../../fixtures/check-everything.js';
import { CASES } from './cases.js';
import { unmark } from './marked.js';
import { checkText, memoryHost } from './memory-host.js';

describe('every row of the catalogue', () => {
  it('has a case that provokes it', () => {
    const provoked = new Set(CASES.map((c) => c.slug));
    expect(Object.keys(CATALOGUE).filter((slug) => !provoked.has(slug as never))).toEqual([]);
  });

  it('has a code of its own, apart from those of syntax', () => {
    const codes = [...Object.values(CATALOGUE).map((e) => e.code as string), ...Object.keys(syntaxCodes)];
    expect(new Set(codes).size).toBe(codes.length);
    for (const code of codes) expect(code).toMatch(/^FC(01|02|03|04|05|06|07|08|10)\d\d$/);
  });
});

/** Their message, or what it relates to, has all there is to say: what a value must be, or what breaks a promise. */
const SAYS_ALL: readonly string[] = [
  ...['import-cycle', 'unreadable-file', 'unknown-plan', 'wrong-type', 'out-of-range', 'outside-domain'],
  ...['model-unreadable', 'expectation-not-met', 'time-not-met', 'workload-not-held', 'workload-unreadable'],
];

describe('diagnostics', () => {
  for (const [i, c] of CASES.entries())
    it(`${c.slug} (${i})`, () => {
      const { text, span } = unmark(c.source);
      const checked =
        c.slug === 'unreadable-file'
          ? checkFile(memoryHost({}), 'main.plan')
          : checkText(text, {
              ...(c.set && { set: c.set }),
              ...(c.plan !== undefined && { plans: [c.plan] }),
              ...(c.files && { files: c.files }),
              ...(c.models && { models: c.models }),
            });
      const { diagnostics } = c.compiled ? compileAndSimulate(checked, 'main.plan') : checked;
      const found = diagnostics.filter((d) => d.slug === c.slug);
      expect(diagnostics.map((d) => `${d.slug}: ${d.message}`)).toContainEqual(
        expect.stringContaining(`${c.slug}: `),
      );
      if (span) {
        const places = found.map((d) => text.slice(d.primary?.span.start, d.primary?.span.end));
        expect(places).toContain(text.slice(span.start, span.end));
        expect(found.map((d) => d.primary?.span)).toContainEqual(span);
      }
      const said = found.flatMap((d) => [d.message, ...d.helps, ...d.notes]).join('\n');
      if (c.says !== undefined) expect(said).toContain(c.says);
      if (!SAYS_ALL.includes(c.slug))
        for (const { helps, fixes, message } of found)
          expect(helps.length + fixes.length, message).toBeGreaterThan(0);
      expect(found[0]!.code).toBe(CATALOGUE[c.slug].code);
    });
});
