/** What the benchmark of Seesaw keeps of what it finds. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { keptFind } from '../../../bench/support/seesaw-kept.js';

describe('what searches keep', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fulcrum-seesaw-'));
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(folder, { recursive: true });
  });

  it('is taken over for as many requests alone', () => {
    const look = (requests: number, found: string): string =>
      keptFind('l4 m15b arxiv', requests, folder)('no effects', () => found);
    expect(look(500, 'of all')).toBe('of all');
    expect(look(5, 'of five')).toBe('of five');
    expect(look(500, 'again')).toBe('of all');
  });
});
