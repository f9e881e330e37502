/** Samples of something over time: as many as a chart can show, however long the run. */

/** Beyond this many samples every other one is dropped and they come half as often. */
const MOST_SAMPLES = 1024;

/** Takes samples. Times are seconds on the clock. */
export interface Sampler<Sample extends { readonly time: number }> {
  /** Whether enough time has passed since the last sample. */
  readonly isDue: (time: number) => boolean;
  readonly add: (time: number, sample: Sample) => void;
  /** Adds how things are at the end, however soon after the last sample, which it replaces if nothing has passed since. */
  readonly close: (time: number, sample: Sample) => void;
  readonly samples: () => readonly Sample[];
}

/** A sampler without samples. */
export function createSampler<Sample extends { readonly time: number }>(): Sampler<Sample> {
  let samples: Sample[] = [];
  let interval = 0;
  let last = -Infinity;
  return {
    isDue: (time) => time - last >= interval,
    add(time, sample) {
      last = time;
      samples.push(sample);
      if (samples.length < MOST_SAMPLES) return;
      samples = samples.filter((_, index) => index % 2 === 0);
      interval = Math.max(2 * interval, (2 * time) / MOST_SAMPLES);
    },
    close(time, sample) {
      if (samples.at(-1)?.time === time) samples.pop();
      samples.push(sample);
    },
    samples: () => samples,
  };
}
