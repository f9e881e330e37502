import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FAILURE_CODES } from '../../runtime/failure-codes.js';

/** Codes written in the sources of the folders that may fail at run time. */
function codesUsed(): Set<string> {
  const files = ['runtime', 'cli'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('failure-codes.ts'))
      .map((name) => join(folder, name)),
  );
  return new Set(files.flatMap((file) => readFileSync(file, 'utf8').match(/FC09\d\d/g) ?? []));
}

describe('run-time failure codes', () => {
  it('lists every code in use and none that is not', () => {
    expect([...codesUsed()].sort()).toEqual(Object.keys(FAILURE_CODES).sort());
  });

  it('gives each code a slug of its own', () => {
    const slugs = Object.values(FAILURE_CODES).map((kind) => kind.slug);
    expect(new Set(slugs).size).toBe(slugs.length);
  });
});
