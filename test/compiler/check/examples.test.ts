import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkText } from './memory-host.js';

const read = (name: string): string =>
  readFileSync(new URL(`../../../plans/${name}.plan`, import.meta.url), 'utf8');

describe('example plans check without a finding', () => {
  for (const name of ['clerk', 'seesaw-70b', 'pod'])
    it(name, () => {
      expect(checkText(read(name)).diagnostics).toEqual([]);
    });
});
