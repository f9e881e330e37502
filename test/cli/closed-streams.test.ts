/** A command whose results or messages nobody reads to their end does its work all the same, and ends as it would. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-closed-'));
afterAll(() => rmSync(folder, { recursive: true }));

function planFile(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const sound = planFile(
  'sound.plan',
  `import { workstation } from "std/local"
model m { family: llama, layers: 4, hidden: 64, heads: 4, kv_heads: 4, ffn: 128, vocab: 64, context: 128, weights: f32 }
plan p for m on workstation { stage serve: prefill + decode on gpu { mesh (pp: 4) }, flow requests -> serve -> results }
`,
);
const broken = planFile('broken.plan', 'plan p for nobody on nothing {}\n');

/** Exit status of a command line of which a stream, 1 or 2, is a pipe whose reader is gone before it is written to. */
function unread(stream: 1 | 2, ...args: readonly string[]): number | null {
  const [pipe, other] = [join(folder, 'pipe'), stream === 1 ? 2 : 1];
  const script = `mkfifo "$0"; : <"$0" & "$@" ${stream}>"$0" ${other}>/dev/null; status=$?; wait; rm "$0"; exit $status`;
  return spawnSync('sh', ['-c', script, pipe, process.execPath, 'dist/program/main.js', ...args]).status;
}

describe('a stream that nobody reads', () => {
  it('makes no success of a failure', () => {
    expect(unread(1, 'check', '--json', broken)).toBe(1);
  });

  it('makes no failure of a success', () => {
    expect(unread(1, 'check', '--json', sound)).toBe(0);
    expect(unread(2, 'check', sound)).toBe(0);
  });

  it('leaves no work undone', () => {
    const graph = join(folder, 'graph.json');
    expect(unread(2, 'compile', sound, '--output', graph)).toBe(0);
    expect(existsSync(graph)).toBe(true);
  });
});

describe.skipIf(!existsSync('/dev/full'))('a full disk', () => {
  it('is told where results go to it', () => {
    const command = [process.execPath, 'dist/program/main.js', 'check', sound];
    const run = spawnSync('sh', ['-c', '"$0" "$@" >/dev/full', ...command], { encoding: 'utf8' });
    expect(run.stderr).toContain('cannot write to standard output: no space left on device');
    expect(run.status).toBe(3);
  });
});
