#!/usr/bin/env node
/** Entry point of `fulcrum`. */
import { setFlagsFromString } from 'node:v8';
import { followParent, gpuProcessTerminal, inGpuProcess, messagesDelivered } from './gpu-process.js';
import { runProgram } from './program.js';
import { allWritten, processTerminal } from './terminal.js';

// Functions are compiled for speed after four times as many runs as V8 has it. A command of a second or two otherwise
// has some 900 compiled by four threads, which takes longer than they then save, and a machine of two cores has none
// left for the command. A search of a minute does not notice.
setFlagsFromString('--interrupt-budget=270336');

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
