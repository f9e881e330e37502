import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { split } from './marked.js';
import { checkText } from './memory-host.js';

const SOURCES = [
  ...['clerk', 'seesaw-70b', 'pod'].map((name) =>
    readFileSync(new URL(`../../../plans/${name}.plan`, import.meta.url), 'utf8'),
  ),
  split(`kv { page: 16 tokens, tiers: gpu -> host up to 4 GiB }
    flow requests -> prefill -> decode -> results { to decode when host.full and not requests.empty }
    expect { peak(decode, gpu) <= 2 GB, never all_gather of kv in decode }`),
];

const WORDS =
  'gpu host tp 0 -1 4 99 GiB tokens { } ( ) [ ] -> <-> : , 20% "x" fill auto from like on by'.split(' ');

/** A source with a few of its words dropped, doubled or replaced. */
const mutated = fc
  .tuple(
    fc.constantFrom(...SOURCES),
    fc.array(fc.tuple(fc.nat(), fc.constantFrom('drop', 'double', 'replace'), fc.constantFrom(...WORDS)), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([source, edits]) => {
    const words = source.split(/(\s+|[{}()[\],:])/);
    for (const [at, how, word] of edits) {
      const i = at % words.length;
      words[i] = how === 'drop' ? '' : how === 'double' ? `${words[i]} ${words[i]}` : word;
    }
    return words.join('');
  });

describe('any input', () => {
  it('is answered, and every finding lies inside its file', () => {
    fc.assert(
      fc.property(mutated, (text) => {
        const result = checkText(text);
        for (const { primary, message } of result.diagnostics) {
          expect(message.length).toBeGreaterThan(5);
          if (!primary) continue;
          const length = result.files.get(primary.file)!.length;
          expect(primary.span.start).toBeLessThanOrEqual(primary.span.end);
          expect(primary.span.end).toBeLessThanOrEqual(length);
        }
        const errors = result.diagnostics.some((d) => d.severity === 'error');
        const declared = result.file!.items.filter((i) => i.kind === 'plan').length;
        // A plan goes missing only for a reason that is told.
        if (!errors) expect(result.plans.length).toBe(declared);
      }),
      { numRuns: 150 },
    );
  });

  it.each(['node', 'gpu', 'nvme'])(
    'is answered where `%s` of a topology has no name that can be one',
    (name) => {
      const [, , pod] = SOURCES;
      for (const other of ['nöde', '用', ''])
        expect(checkText(pod!.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), other)).plans).toEqual([]);
      expect(checkText(pod!.replace(`tier ${name}`, 'tier')).plans.length).toBe(name === 'nvme' ? 0 : 2);
    },
  );

  it('checks a pod of 1,024 devices', () => {
    const text = SOURCES[2]!.replace('node[16]', 'node[128]').replace('node[8..15]', 'node[8..127]');
    expect(checkText(text.replace('dp: fill, pp: 2, tp: 8', 'dp: fill, pp: 3, tp: 8')).plans).toHaveLength(2);
  });
});
