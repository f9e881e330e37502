import { defineConfig } from 'vitest/config';

/**
 * Two tiers: `unit` needs no device and runs first; `device` runs kernels and whole models on WebGPU.
 * Device tests run one file at a time: a software adapter already uses every core.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          setupFiles: ['test/fixtures/property-seed.ts'],
          include: ['test/**/*.test.ts'],
          exclude: ['test/device/**'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'device',
          setupFiles: ['test/fixtures/property-seed.ts'],
          include: ['test/device/**/*.test.ts'],
          fileParallelism: false,
          pool: 'forks',
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
