/** How long something takes. */

/** Seconds of a clock. */
type Clock = () => number;

const onTheWall: Clock = () => performance.now() / 1e3;

/** Of all threads of the process together, so that a busy machine does not show in it. */
export const processorSeconds: Clock = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

export function timed<Value>(
  run: () => Value,
  clock = onTheWall,
): { readonly value: Value; readonly seconds: number } {
  const start = clock();
  const value = run();
  return { value, seconds: clock() - start };
}
