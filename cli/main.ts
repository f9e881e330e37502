#!/usr/bin/env node
/** Entry point of `fulcrum`. */
import './v8-settings.js';
import { followParent, gpuProcessTerminal, inGpuProcess, messagesDelivered } from './gpu-process.js';
import { runProgram } from './program.js';
import { allWritten, processTerminal } from './terminal.js';

// A reader that has seen enough (`fulcrum … | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 3));
followParent();
const devicesHere = inGpuProcess();
const terminal = devicesHere ? gpuProcessTerminal() : processTerminal();
const status = await runProgram(process.argv.slice(2), terminal, devicesHere);
await messagesDelivered();
// What a pipe could not take at once is still to be written, and exiting would throw it away.
await Promise.all([process.stdout, process.stderr].map(allWritten));
process.exit(status);
