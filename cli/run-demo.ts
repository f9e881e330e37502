/** Runs the shipped model over its own requests, and says how many of its answers are exactly right. */
import { dirname } from 'node:path';
import type { WeightType } from '../compiler/model/weight-types.js';
import { makeFolder } from '../runtime/make-folder.js';
import { interruptible, type CommandContext } from './command.js';
import { accuracyOf, DEMO_PLAN_FILE, DEMO_REQUESTS } from './demo-accuracy.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { formatTable } from './format.js';
import { loadGraph } from './load-graph.js';
import { exitCodeOf, reportOutcome, runPlan } from './run-plan.js';
import { runFigures } from './run-report.js';
import { runSummary } from './run-summary.js';
import { err, out } from './terminal.js';

interface DemoOptions {
  readonly plan: string;
  readonly weights?: WeightType;
  readonly prefixReuse: boolean;
  readonly out: string;
  readonly json?: boolean;
}

export async function runDemo({ terminal }: CommandContext, options: DemoOptions): Promise<ExitCode> {
  const { plan, weights } = options;
  const loaded = loadGraph(DEMO_PLAN_FILE, { plan, ...(weights && { weights }) }, terminal);
  if (loaded.kind === 'failed') return loaded.exit;
  const { graph } = loaded;
  const stages = graph.stages.map(
    ({ name, mesh }) => `${name} (dp ${mesh.dp}, pp ${mesh.pp}, tp ${mesh.tp})`,
  );
  const held = `${graph.model.weights} weights`;
  err(terminal, `clerk over 256 requests with plan ${graph.plan}, ${held}: ${stages.join(', ')}`);
  makeFolder(dirname(options.out));
  const run = await interruptible((signal) =>
    runPlan(
      {
        graph,
        planPath: DEMO_PLAN_FILE,
        requestsPath: DEMO_REQUESTS,
        resultsPath: options.out,
        start: 'overwrite',
        reusesPrefixes: options.prefixReuse,
        signal,
      },
      terminal,
    ),
  );
  reportOutcome(run, options.out, terminal);
  // A run that was cut short says nothing about how good the answers are.
  const accuracy = exitCodeOf(run) === EXIT.ok ? accuracyOf(options.out) : undefined;
  if (options.json) {
    out(terminal, JSON.stringify({ ...runSummary('demo', options.out, run, graph), accuracy }, null, 2));
  } else {
    const right = accuracy && `${accuracy.right} of ${accuracy.of} answers exactly right`;
    const rows = [
      ...(right === undefined ? [] : [['accuracy', right]]),
      ...runFigures(run),
      ['answers', options.out],
    ];
    out(terminal, formatTable(rows));
  }
  return exitCodeOf(run);
}
