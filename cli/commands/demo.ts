/** `fulcrum demo`: the shipped model over its own requests, and how many of its answers are exactly right. */
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { addJsonOption, gpuAction, interruptible, type AddCommand } from '../command.js';
import { EXIT } from '../exit-codes.js';
import { loadGraph } from '../load-plan.js';
import { PACKAGE_ROOT } from '../package-root.js';
import { describeRun, exitCodeOf, reportOutcome, runPlan } from '../run-plan.js';
import { runSummary } from '../run-summary.js';
import { err, out } from '../terminal.js';

const PLAN_FILE = join(PACKAGE_ROOT, 'plans', 'clerk.plan');
const DATA = join(PACKAGE_ROOT, 'plans', 'models', 'clerk', 'data');

interface Accuracy {
  readonly right: number;
  readonly of: number;
}

function readLines<T>(path: string): readonly T[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as T);
}

interface Answer {
  readonly custom_id: string;
  readonly response: { readonly body: { readonly choices?: readonly { readonly text?: string }[] } } | null;
}

/** Answers that equal the expected text, character for character. */
function accuracyOf(resultsPath: string): Accuracy {
  const expected = readLines<{ readonly custom_id: string; readonly completion: string }>(
    join(DATA, 'expected.jsonl'),
  );
  const answers = new Map(
    readLines<Answer>(resultsPath).map((line) => [line.custom_id, line.response?.body.choices?.[0]?.text]),
  );
  const right = expected.filter((line) => answers.get(line.custom_id) === line.completion).length;
  return { right, of: expected.length };
}

export const addDemoCommand: AddCommand = (program, context) => {
  const command = program
    .command('demo')
    .description('run the shipped model over its 256 extraction requests')
    .option('--plan <name>', 'plan of plans/clerk.plan', 'reshard')
    .option('--out <file>', 'where the answers go', join('out', 'demo.jsonl'));
  addJsonOption(command).action(
    gpuAction(
      context,
      async (options: { readonly plan: string; readonly out: string; readonly json?: boolean }) => {
        const { terminal } = context;
        const loaded = loadGraph(PLAN_FILE, { plan: options.plan }, terminal);
        if (loaded.kind === 'failed') return loaded.exit;
        const { graph } = loaded;
        const stages = graph.stages.map(
          ({ name, mesh }) => `${name} (dp ${mesh.dp}, pp ${mesh.pp}, tp ${mesh.tp})`,
        );
        err(terminal, `clerk over 256 requests with plan ${graph.plan}: ${stages.join(', ')}`);
        mkdirSync(dirname(options.out), { recursive: true });
        const run = await interruptible((signal) =>
          runPlan(
            {
              graph,
              requestsPath: join(DATA, 'records.jsonl'),
              resultsPath: options.out,
              start: 'overwrite',
              signal,
            },
            terminal,
          ),
        );
        reportOutcome(run, options.out, terminal);
        // A run that was cut short says nothing about how good the answers are.
        const accuracy = exitCodeOf(run) === EXIT.ok ? accuracyOf(options.out) : undefined;
        if (options.json) {
          out(
            terminal,
            JSON.stringify({ ...runSummary('demo', options.out, run, graph), accuracy }, null, 2),
          );
        } else {
          if (accuracy !== undefined)
            out(terminal, `accuracy     ${accuracy.right} of ${accuracy.of} answers exactly right`);
          out(terminal, describeRun(run));
          out(terminal, `answers      ${options.out}`);
        }
        return exitCodeOf(run);
      },
    ),
  );
};
