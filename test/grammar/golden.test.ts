import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from '../../grammar/parse.js';
import { printSyntax } from '../../grammar/print-syntax.js';
import { show } from './support.js';

describe('the dump of a file with every construct', () => {
  it('is the golden one', async () => {
    const text = readFileSync(new URL('golden/everything.plan', import.meta.url), 'utf8');
    const { file, errors } = parse(text, 'everything.plan');
    expect(show(text, errors)).toEqual([]);
    await expect(printSyntax(file)).toMatchFileSnapshot('golden/everything.syntax.txt');
  });
});
