/** The upper rungs of a file whose workloads take their requests from files of lengths. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Analysis } from '../../../editor/lsp/analysis.js';
import { createCompileMemory } from '../../../editor/lsp/compile-memory.js';
import { fileHost } from '../../../runtime/file-host.js';
import { rungsOf, WORLD } from './support.js';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'fulcrum-analysis-')));
const path = join(folder, 'main.plan');
afterAll(() => rmSync(folder, { recursive: true }));

const PLAN = `${WORLD.replace(/workload.*\n/, '')}plan p for small on box {
  stage prefill on gpu { mesh (pp: 8) }
  stage decode on gpu { mesh (tp: 4, dp: 2) }
  residence: switch
  expect { time <= 50 ms }
}
`;
const memory = createCompileMemory();

function analysed(workloads: string): readonly Analysis[] {
  writeFileSync(path, `${PLAN}${workloads}\n`);
  return rungsOf(fileHost(), path, memory);
}
const said = ({ diagnostics }: Analysis): string[] =>
  diagnostics.map(({ code, message }) => `${code} ${message}`);
const lines = (count: number, line: string): string => `${line}\n`.repeat(count);

describe('a file of lengths', () => {
  it('that cannot be read is an error on every rung, and simulated nowhere', () => {
    writeFileSync(join(folder, 'bad.jsonl'), 'nonsense\n');
    const rungs = analysed(
      'workload a { requests: "bad.jsonl" }\nworkload b { requests: "./missing.jsonl" }',
    );
    expect(rungs.map(({ rung }) => rung)).toEqual(['checked', 'compiled', 'simulated']);
    for (const rung of rungs)
      expect(said(rung)).toEqual([
        'FC0322 workload a has no requests: bad.jsonl:1:1: the line is not JSON',
        'FC0322 workload b has no requests: cannot read missing.jsonl: no such file or directory',
      ]);
    const text = `${PLAN}workload a { requests: "bad.jsonl" }`;
    expect(rungs[0]!.diagnostics[0]!.primary).toMatchObject({
      file: path,
      span: { start: text.length - '"bad.jsonl" }'.length, end: text.length - ' }'.length },
    });
  });

  it('is simulated as it is now', () => {
    const file = join(folder, 'good.jsonl');
    const workload = 'workload a { requests: "good.jsonl" }';
    writeFileSync(file, lines(3, '{"prompt": 10, "output": 2}'));
    const first = analysed(workload).at(-1)!;
    expect(said(first)).toEqual([]);
    expect(first.notes).toContainEqual(
      expect.objectContaining({
        text: expect.stringMatching(/^[\d.]+ requests\/s predicted for a$/) as string,
      }),
    );
    writeFileSync(file, lines(60, '{"prompt": 1500, "output": 200}'));
    expect(said(analysed(workload).at(-1)!)).toEqual([
      expect.stringMatching(/^FC\d+ time is [\d.]+ m?s for workload a, simulated, expected <= 50 ms/),
    ]);
  });

  it('has no rate where no request can be held', () => {
    writeFileSync(join(folder, 'long.jsonl'), lines(3, '{"prompt": 100000, "output": 20}'));
    const notes = analysed('workload a { requests: "long.jsonl" }').at(-1)!.notes;
    expect(notes.filter(({ text }) => text.includes('predicted'))).toEqual([]);
  });

  it('is not simulated where it has too many requests', () => {
    writeFileSync(join(folder, 'many.jsonl'), lines(2001, '{"prompt": 100, "output": 20}'));
    const last = analysed('workload a { requests: "many.jsonl" }').at(-1)!;
    expect(said(last)).toEqual([]);
    expect(last.notes.filter(({ text }) => text.includes('predicted'))).toEqual([]);
  });
});
