/**
 * How calibrations time things: as they go as a rule, not at their best. Threads of software devices, of the driver and of
 * the host wake each other, and how long that takes varies manifold from one time to the next; a run, which is the sum of
 * many such times, never has the best of them only. What else the machine does meanwhile makes some rounds far longer: a
 * mean of all of them would be of that.
 */

/** Rounds of a measurement, however long they take. */
const ROUNDS = { least: 5, most: 400 };

/** Seconds of a round as a rule, after two that warm up; rounds go on for so many seconds. */
export function typical(round: () => Promise<unknown>, seconds: number): Promise<number> {
  return typicalPart(async () => {
    const began = performance.now();
    await round();
    return (performance.now() - began) / 1000;
  }, seconds);
}

/**
 * Of rounds that say themselves what part of their seconds counts.
 *
 * @param of what their times come to
 */
export async function typicalPart(
  round: () => Promise<number>,
  seconds: number,
  of: (times: readonly number[]) => number = middleMean,
): Promise<number> {
  const [part] = await typicalParts(async () => [await round()], seconds, of);
  return part!;
}

/** Of rounds that say what the parts of their seconds are: each part by itself. */
export async function typicalParts(
  round: () => Promise<readonly number[]>,
  seconds: number,
  of: (times: readonly number[]) => number = middleMean,
): Promise<readonly number[]> {
  await round();
  const parts = (await round()).map((): number[] => []);
  const until = performance.now() + seconds * 1000;
  for (let i = 0; i < ROUNDS.least || (performance.now() < until && i < ROUNDS.most); i++)
    (await round()).forEach((part, which) => parts[which]!.push(part));
  return parts.map(of);
}

/** Mean of the middle half: of what is left without the quickest quarter and the slowest. */
export function middleMean(times: readonly number[]): number {
  const out = Math.floor(times.length / 4);
  const middle = times.toSorted((a, b) => a - b).slice(out, times.length - out);
  return mean(middle);
}

export function mean(times: readonly number[]): number {
  return times.reduce((sum, time) => sum + time, 0) / times.length;
}
