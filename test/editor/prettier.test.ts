/** The Prettier plugin, through Prettier itself. */
import { readFileSync } from 'node:fs';
import * as prettier from 'prettier';
import { expect, it } from 'vitest';
import * as plugin from '../../editor/prettier/plugin.js';
import { formatPlan } from '../../grammar/format.js';

const format = (text: string, options: prettier.Options = {}): Promise<string> =>
  prettier.format(text, { ...options, filepath: 'x.plan', plugins: [plugin] });

it.each(['plans/clerk.plan', 'test/grammar/golden/everything.plan', 'plans/std/aws.plan'])(
  'writes what the formatter writes: %s',
  async (path) => {
    const text = readFileSync(path, 'utf8');
    const formatted = formatPlan(text, path);
    expect(formatted).toEqual({ kind: 'formatted', text: await format(text) });
  },
);

it('is not to be configured', async () => {
  const text = readFileSync('plans/clerk.plan', 'utf8');
  expect(await format(text, { tabWidth: 8, printWidth: 20 })).toBe(await format(text));
});

it('says where a file is broken', async () => {
  await expect(format('model m {\n  source: "a\n}')).rejects.toMatchObject({
    loc: { start: { line: 2, column: 11 } },
  });
});
