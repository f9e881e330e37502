/** A plan for `fulcrum tune`, in a file of its own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { runInProcess } from './run-program.js';

export const PLAN = `import { l4 } from "std/devices"

topology machine {
  node[2] {
    gpu[2]: l4
    tier host { capacity: 64 GiB }
    link gpu <-> gpu { bandwidth: 4 GB/s, latency: 20 us }
    link gpu <-> host { bandwidth: 12 GB/s, latency: 10 us }
  }
  link node <-> node { bandwidth: 3 GB/s, latency: 20 us }
}

model small {
  family: llama
  layers: 4, hidden: 512, heads: 8, kv_heads: 4, ffn: 1024, vocab: 1000, context: 512
  weights: f16
}

workload short { requests: 40, prompt: 200 tokens, output: 20 tokens }

plan start for small on machine {
  stage serve: prefill + decode on node.gpu { mesh (tp: 4), batch: 16 requests }
  kv { page: 32 tokens }
}

// The end.
`;

/** What tests read of the document. */
export interface Document {
  readonly tradeOffs: readonly { readonly requestsPerSecond: number; readonly betweenTokens: number }[];
  readonly plans: readonly {
    readonly label: string;
    readonly strategy: string;
    readonly requestsPerSecond: number;
    readonly betweenTokens: number;
    readonly hostKvBytes: number;
    readonly pareto: boolean;
    readonly wanted: boolean;
  }[];
}

/** A folder for the tests of a file. */
export interface TuneFolder {
  readonly folder: string;
  /** Writes the plan, as it is above, and returns its path. */
  readonly planFile: () => string;
  /** The plans that a search for it finds. */
  readonly plansFound: (...args: readonly string[]) => Promise<Document['plans']>;
}

/** Makes a folder, which goes when all tests have ended. */
export function openTuneFolder(): TuneFolder {
  const folder = mkdtempSync(join(tmpdir(), 'fulcrum-tune-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const planFile = (): string => {
    const file = join(folder, 'machine.plan');
    writeFileSync(file, PLAN);
    return file;
  };
  return {
    folder,
    planFile,
    async plansFound(...args) {
      const run = await runInProcess('tune', planFile(), ...args, '--json');
      expect(run.status).toBe(0);
      return (JSON.parse(run.out) as Document).plans;
    },
  };
}
