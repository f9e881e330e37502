/**
 * How V8 is to run commands that mostly take a second or two: imported for that, before a command is loaded.
 *
 * Of such a command much is compiling of JavaScript, which on a machine of two cores goes on beside it as fast as it can.
 */
import { setFlagsFromString } from 'node:v8';

/** Where functions are compiled for speed after a count of bytes run: what V8 12 counts has another name. */
const COUNTS_BYTES = Number.parseInt(process.versions.v8) < 12;

// After four times as many runs as V8 has it: some 900 functions are compiled for speed otherwise, which takes longer
// than they then save. A search of a minute does not notice.
if (COUNTS_BYTES) setFlagsFromString('--interrupt-budget=270336');
// Less of other functions in each, and no first round of a loop apart: that takes a fifth less to compile, and what runs for
// minutes is no slower.
for (const flag of [
  '--max-inlined-bytecode-size=200',
  '--max-inlined-bytecode-size-cumulative=200',
  '--no-turbo-loop-peeling',
])
  setFlagsFromString(flag);
// What a simulation makes of a step lives while the step is in a pipeline, which is long enough for V8 to take it for something
// that stays: it then puts it where only full collections look. Simulations of deep pipelines take two thirds of the time
// without that, and nothing else was seen to take longer.
setFlagsFromString('--no-allocation-site-pretenuring');
