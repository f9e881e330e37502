/** `check --sarif`: the parts of SARIF 2.1.0 that readers rely on. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { runInProcess } from './run-program.js';

const folder = mkdtempSync(join(tmpdir(), 'fulcrum-sarif-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

const PLAN = `import { g6_48xlarge } from "std/aws"
import { llama3_8b } from "std/models"

//! allow kv-tight: prompts are short
plan short for llama3_8b on g6_48xlarge {
  stage serve: prefill + decode on gpu { mesh (dp: 8), microbatch: 256 tokens }
  memory_use: 71%
}

plan wrong for llama3_8b on g6_48xlarge {
  stage serve: prefill + decode on gpu { mesh (tp: 8), batsh: 4 requests }
}
`;

interface Region {
  readonly startLine: number;
  readonly startColumn: number;
  readonly endColumn: number;
}

interface Location {
  readonly physicalLocation: { readonly artifactLocation: { readonly uri: string }; readonly region: Region };
}

interface Log {
  readonly version: string;
  readonly $schema: string;
  readonly runs: readonly {
    readonly tool: {
      readonly driver: { readonly rules: readonly { readonly id: string; readonly name: string }[] };
    };
    readonly columnKind: string;
    readonly results: readonly {
      readonly ruleId: string;
      readonly ruleIndex: number;
      readonly level: string;
      readonly message: { readonly text: string };
      readonly locations: readonly Location[];
      readonly fixes?: readonly {
        readonly artifactChanges: readonly {
          readonly replacements: readonly {
            readonly deletedRegion: Region;
            readonly insertedContent: object;
          }[];
        }[];
      }[];
      readonly suppressions?: readonly object[];
    }[];
  }[];
}

describe('check --sarif', () => {
  it('has every diagnostic with its rule, place and fix, and allowed ones as suppressed', async () => {
    const path = join(folder, 'a plan.plan');
    writeFileSync(path, PLAN);
    const run = await runInProcess('check', '--sarif', path);
    expect(run.status).toBe(1);
    const log = JSON.parse(run.out) as Log;
    expect(log.version).toBe('2.1.0');
    expect(log.$schema).toMatch(/sarif-schema-2\.1\.0\.json$/);
    const [{ tool, columnKind, results }] = log.runs as [Log['runs'][number]];
    expect(columnKind).toBe('utf16CodeUnits');
    expect(tool.driver.rules.map(({ id, name }) => `${id} ${name}`)).toEqual([
      'FC0301 unknown-property',
      'FC0602 kv-tight',
    ]);
    for (const { ruleId, ruleIndex } of results) expect(tool.driver.rules[ruleIndex]!.id).toBe(ruleId);
    const [unknown, tight] = results;
    expect(unknown).toMatchObject({
      level: 'error',
      locations: [
        {
          physicalLocation: {
            artifactLocation: { uri: pathToFileURL(path).href },
            region: { startLine: 11, startColumn: 56, endLine: 11, endColumn: 61 },
          },
        },
      ],
    });
    expect(unknown!.message.text).toMatch(/^a stage has no property `batsh`\nhelp: did you mean `batch`\?$/);
    expect(unknown!.suppressions).toBeUndefined();
    expect(unknown!.fixes![0]!.artifactChanges[0]!.replacements[0]).toMatchObject({
      deletedRegion: { startColumn: 56, endColumn: 61 },
      insertedContent: { text: 'batch' },
    });
    expect(tight).toMatchObject({
      level: 'warning',
      suppressions: [{ kind: 'inSource', justification: 'prompts are short' }],
    });
  });

  it('names a file outside the working directory in full, near as it may be', async () => {
    const path = join(folder, 'beside.plan');
    writeFileSync(path, PLAN);
    vi.spyOn(process, 'cwd').mockReturnValue(join(folder, 'here'));
    const run = await runInProcess('check', '--sarif', path);
    const { results } = (JSON.parse(run.out) as Log).runs[0]!;
    expect(results[0]!.locations[0]!.physicalLocation.artifactLocation.uri).toBe(pathToFileURL(path).href);
  });

  it('is one log without results for a sound file, and excludes --json', async () => {
    const run = await runInProcess('check', '--sarif', 'plans/clerk.plan');
    expect(run.status).toBe(0);
    expect((JSON.parse(run.out) as Log).runs[0]!.results).toEqual([]);
    expect((await runInProcess('check', '--sarif', '--json', 'plans/clerk.plan')).status).toBe(2);
  });
});
