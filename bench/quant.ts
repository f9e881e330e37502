/**
 * What each element type of weights costs in accuracy: the demo model over its 256 requests, greedy, one run per type,
 * beside the bytes of its weights. Types are those that `--weights` of `fulcrum demo` takes.
 *
 *   npm run bench:quant -- [type ...]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accuracyOf, DEMO_PLAN_FILE, DEMO_REQUESTS } from '../cli/demo-accuracy.js';
import { formatBytes, formatTable } from '../cli/format.js';
import { loadGraph } from '../cli/load-graph.js';
import { runPlan } from '../cli/run-plan.js';
import { processTerminal } from '../cli/terminal.js';
import { PLAN_WEIGHT_TYPES, type WeightType } from '../compiler/model/weight-types.js';
import { asked, pickNamed } from './support/arguments.js';

/** One device holds the whole model; accuracy is the same under every sharding. */
const PLAN = 'single';

interface Row {
  readonly right: string;
  readonly bytes: number;
}

async function measure(weights: WeightType, resultsPath: string): Promise<Row> {
  const terminal = processTerminal();
  const loaded = loadGraph(DEMO_PLAN_FILE, { plan: PLAN, weights }, terminal);
  if (loaded.kind === 'failed') throw new Error(`plan ${PLAN} does not compile with ${weights} weights`);
  const { graph } = loaded;
  const { signal } = new AbortController();
  await runPlan({ graph, requestsPath: DEMO_REQUESTS, resultsPath, start: 'overwrite', signal }, terminal);
  const { right, of } = accuracyOf(resultsPath);
  const bytes = graph.devices.reduce((sum, { peak }) => sum + peak.weights, 0);
  return { right: `${right} of ${of}`, bytes };
}

/** Runs the types and prints a table to stdout. */
export async function benchQuant(types: readonly WeightType[]): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'fulcrum-quant-'));
  try {
    const rows: string[][] = [['weights', 'exactly right', 'bytes of weights']];
    for (const type of types) {
      const { right, bytes } = await measure(type, join(directory, `${type}.jsonl`));
      rows.push([type, right, formatBytes(bytes)]);
    }
    console.log(formatTable(rows));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

await benchQuant(asked('quant', pickNamed('type', PLAN_WEIGHT_TYPES, process.argv.slice(2))));
