/** `fulcrum graph` end to end. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runInProcess } from './run-program.js';

describe('graph', () => {
  it('writes a drawing of the transitions', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fulcrum-graph-'));
    try {
      const file = join(folder, 'x.svg');
      const run = await runInProcess(
        'graph',
        'plans/clerk.plan',
        '--plan',
        'reshard',
        '--level',
        'transitions',
        '--out',
        file,
      );
      expect(run).toMatchObject({ status: 0, out: '' });
      const svg = readFileSync(file, 'utf8');
      expect(svg).toMatch(/^<svg /);
      expect(svg).toContain('reshard: clerk on workstation');
      expect(svg).toContain('prefill (pp: 4)');
      expect(svg).toContain('decode (tp: 4)');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('knows its levels, and wants one plan', async () => {
    expect(
      (await runInProcess('graph', 'plans/clerk.plan', '--level', 'wires', '--out', 'x.svg')).status,
    ).toBe(2);
    const several = await runInProcess('graph', 'plans/clerk.plan', '--out', 'x.svg');
    expect(several.status).toBe(2);
    expect(several.err).toContain('reshard');
  });
});
