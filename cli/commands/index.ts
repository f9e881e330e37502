import type { AddCommand } from '../command.js';
import { addCheckCommand } from './check.js';
import { addCompileCommand } from './compile.js';
import { addDemoCommand } from './demo.js';
import { addDevicesCommand } from './devices.js';
import { addDiffCommand } from './diff.js';
import { addExplainCommand } from './explain.js';
import { addFmtCommand } from './fmt.js';
import { addGraphCommand } from './graph.js';
import { addLspCommand } from './lsp.js';
import { addPlaygroundCommand } from './playground.js';
import { addRunCommand } from './run.js';
import { addSimulateCommand } from './simulate.js';
import { addTuneCommand } from './tune.js';

/** Every command, in the order of the help text. */
export const COMMANDS: readonly AddCommand[] = [
  addCheckCommand,
  addFmtCommand,
  addCompileCommand,
  addGraphCommand,
  addRunCommand,
  addSimulateCommand,
  addTuneCommand,
  addDiffCommand,
  addExplainCommand,
  addPlaygroundCommand,
  addDevicesCommand,
  addLspCommand,
  addDemoCommand,
];
