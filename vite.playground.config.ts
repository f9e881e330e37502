import { defineConfig } from 'vite';

/** The playground as a static page that works from any path. */
export default defineConfig({
  root: 'cli/playground/page',
  base: './',
  logLevel: 'error',
  build: { outDir: '../../../dist/playground', emptyOutDir: true, target: 'es2023' },
  worker: { format: 'es' },
});
