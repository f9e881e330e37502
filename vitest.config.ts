import { fileURLToPath, URL } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Its own single file instead of hundreds of modules, which every test file would load anew. */
const alias = {
  chevrotain: fileURLToPath(new URL('./node_modules/chevrotain/lib/chevrotain.min.mjs', import.meta.url)),
};

/**
 * Three tiers: `unit` needs no device and runs first; `browser` drives pages in Chromium; `device` runs kernels and
 * whole models on WebGPU.
 * Device tests run one file at a time: a software adapter already uses every core.
 */
export default defineConfig({
  test: {
    projects: [
      {
        resolve: { alias },
        test: {
          name: 'unit',
          setupFiles: ['test/fixtures/property-seed.ts'],
          include: ['test/**/*.test.ts'],
          exclude: ['test/device/**', 'test/browser/**'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          // A page on a machine with much else to do is slow.
          expect: { poll: { timeout: 60_000 } },
        },
      },
      {
        resolve: { alias },
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
