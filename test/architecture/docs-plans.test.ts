/** The plan texts in the docs are plan texts: each parses without a problem. */
import { describe, expect, it } from 'vitest';
import { parse } from '../../grammar/parse.js';
import { filesBelow } from './source-files.js';

/** Half of those in the pages of diagnostics are there to fail; they have a test of their own. */
const pages = filesBelow('docs', ['.md']).filter(({ path }) => !path.startsWith('docs/diagnostics/'));

const examples = pages.flatMap((page) =>
  [...page.text.matchAll(/^```plan[^\n]*\n(.*?)^```/gms)].map((match) => ({
    name: `${page.path}:${page.text.slice(0, match.index).split('\n').length}`,
    text: match[1]!,
  })),
);

describe('plan texts in the docs', () => {
  it('exist', () => {
    expect(examples.length).toBeGreaterThan(3);
  });

  it.each(examples)('$name parses', ({ name, text }) => {
    const { file, errors } = parse(text, name);
    expect(errors).toEqual([]);
    expect(file.items.length).toBeGreaterThan(0);
  });
});
