#!/usr/bin/env node
/** Entry point of `fulcrum`. */
import './v8-settings.js';
import { EXIT } from './exit-codes.js';
import { followParent, gpuProcessTerminal, inGpuProcess, messagesDelivered } from './gpu-process.js';
import { runProgram } from './program.js';
import { systemReason } from '../runtime/system-reason.js';
import { allWritten, processTerminal } from './terminal.js';

// A reader that has seen enough (`fulcrum … | head`) is no failure, and does not make a success of one.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return;
  process.stderr.write(`error: cannot write to standard output: ${systemReason(error)}\n`);
  process.exit(EXIT.runtime);
});
// Where nobody hears what is said beside results, the work is done all the same.
process.stderr.on('error', () => undefined);
followParent();
const devicesHere = inGpuProcess();
const terminal = devicesHere ? gpuProcessTerminal() : processTerminal();
const status = await runProgram(process.argv.slice(2), terminal, devicesHere);
await messagesDelivered();
// What a pipe could not take at once is still to be written, and exiting would throw it away.
await Promise.all([process.stdout, process.stderr].map(allWritten));
process.exit(status);
