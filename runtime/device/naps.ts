/**
 * How the host waits for software devices. While a promise of Dawn is pending, Dawn looks for its end from one
 * `setImmediate` after the other, which keeps a processor busy. A GPU does not mind; a device that runs on the processors
 * of the host goes on with one fewer, and kernels take half as long again. So the host naps between two looks.
 */

/** Milliseconds of a nap. On two processors 0.02 to 0.1 made no difference; 0.2 and more are seen where values are exchanged. */
export const NAP = 0.1;

/** Milliseconds from the last beginning of a wait in which there are no naps: small reads take less than that. */
const SPIN = 0.1;

/** Nobody ever wakes what waits for it. */
const never = new Int32Array(new SharedArrayBuffer(4));

let waiting = 0;
let looking = false;
let began = 0;

function look(): void {
  if (waiting === 0) {
    looking = false;
    return;
  }
  if (performance.now() - began >= SPIN) Atomics.wait(never, 0, 0, NAP);
  setImmediate(look);
}

/** Awaits work of a software device; until it is done the event loop turns slowly. */
export async function napUntil<T>(work: Promise<T>): Promise<T> {
  waiting++;
  began = performance.now();
  if (!looking) {
    looking = true;
    setImmediate(look);
  }
  try {
    return await work;
  } finally {
    waiting--;
  }
}
