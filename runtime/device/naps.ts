/**
 * How the host waits for software devices. While a promise of Dawn is pending, Dawn looks for its end from one
 * `setImmediate` after the other, which keeps a processor busy. A GPU does not mind; a device that runs on the processors
 * of the host goes on with one fewer, and kernels take half as long again. So the host naps between two looks.
 */

/**
 * Milliseconds of a nap. On two processors, 0.02 to 0.1 made no difference to plans that exchange at every layer or not
 * at all; longer ones come to be seen where values are exchanged.
 */
export const NAP = 0.1;

/** Nobody ever wakes what waits for it. */
const never = new Int32Array(new SharedArrayBuffer(4));

let waiting = 0;
let napping = false;

function nap(): void {
  if (waiting === 0) {
    napping = false;
    return;
  }
  Atomics.wait(never, 0, 0, NAP);
  setImmediate(nap);
}

/** Awaits work of a software device; until it is done the event loop turns slowly. */
export async function napUntil<T>(work: Promise<T>): Promise<T> {
  waiting++;
  if (!napping) {
    napping = true;
    setImmediate(nap);
  }
  try {
    return await work;
  } finally {
    waiting--;
  }
}
