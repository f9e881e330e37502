import type { AddCommand } from '../command.js';

/**
 * Every command by name, in the order of the help text. A command is loaded when it is asked for: some open devices, and
 * to load them all takes as long as to compile a plan.
 */
export const COMMANDS: ReadonlyMap<string, () => Promise<AddCommand>> = new Map([
  ['check', async () => (await import('./check.js')).addCheckCommand],
  ['fmt', async () => (await import('./fmt.js')).addFmtCommand],
  ['compile', async () => (await import('./compile.js')).addCompileCommand],
  ['graph', async () => (await import('./graph.js')).addGraphCommand],
  ['run', async () => (await import('./run.js')).addRunCommand],
  ['simulate', async () => (await import('./simulate.js')).addSimulateCommand],
  ['tune', async () => (await import('./tune.js')).addTuneCommand],
  ['diff', async () => (await import('./diff.js')).addDiffCommand],
  ['explain', async () => (await import('./explain.js')).addExplainCommand],
  ['playground', async () => (await import('./playground.js')).addPlaygroundCommand],
  ['devices', async () => (await import('./devices.js')).addDevicesCommand],
  ['lsp', async () => (await import('./lsp.js')).addLspCommand],
  ['demo', async () => (await import('./demo.js')).addDemoCommand],
]);
