/** `fulcrum run`: compiles a plan, or takes a compiled one, and executes a batch of requests. */
import { Option } from 'commander';
import type { TransitionMode } from '../../runtime/scheduler/types.js';
import {
  addJsonOption,
  collectSettings,
  gpuAction,
  parseCount,
  parsePort,
  type AddCommand,
} from '../command.js';

export const addRunCommand: AddCommand = (program, context) => {
  const command = program
    .command('run')
    .description('compile a plan and execute a batch of requests')
    .argument('<file>', 'plan file, or a runtime graph written by `fulcrum compile` (.json)')
    .requiredOption(
      '--requests <file>',
      'requests, in the OpenAI batch format (JSON lines); - for standard input',
    )
    .requiredOption('--out <file>', 'results, one line per request in the order they finish')
    .addOption(
      new Option('--resume', 'go on where an earlier run into the same file stopped').conflicts('overwrite'),
    )
    .option('--overwrite', 'replace what the results file holds')
    .option('--limit <count>', 'only the first so many requests of the file', parseCount)
    .option('--ordered', 'run requests in the order of the file, and not in the one that helps')
    .option('--no-prefix-reuse', 'compute every prompt whole, also what it has in common with others')
    .option('--plan <name>', 'plan of the file; needed when it has several')
    .option('--set <name=value>', 'value of a param of the plan file (repeatable)', collectSettings)
    .option('--model <directory>', 'model directory or GGUF file in place of the one that the plan names')
    .addOption(
      new Option('--transitions <mode>', 'let stages overlap while weights move, or drain and reload')
        .choices(['dataflow', 'barrier'] satisfies TransitionMode[])
        .default('dataflow'),
    )
    .option('--verify-moves', 'check weights and KV end to end after every move (slow)')
    .option('--trace <file>', 'timeline of the run, for ui.perfetto.dev or chrome://tracing')
    .option(
      '--trace-kernels',
      'let kernels end before each exchange, so that the trace tells them apart (slower)',
    );
  command
    .option('--metrics <file>', 'metrics of the run in the Prometheus text format, written when it ends')
    .option(
      '--metrics-port <port>',
      'serve them at /metrics while the run lasts; 0 takes any port',
      parsePort,
    )
    .option('--metrics-host <address>', 'address to serve metrics at (default: "127.0.0.1")');
  command.option('--summary <file>', 'also write what `--json` prints to a file');
  addJsonOption(command).action(
    gpuAction(context, async () => (await import('../run-requests.js')).runRequests),
  );
};
