import { defineConfig } from 'vite';

/**
 * The program in a few files, with the packages that it uses: to find and read nine hundred modules takes longer than
 * much of what commands do. Workers are looked for in the folder of whatever starts them, so all files lie in one.
 */
export default defineConfig({
  logLevel: 'error',
  publicDir: false,
  // Without a target, packages for browsers would be preferred to those for Node.
  ssr: { target: 'node', noExternal: true, external: ['webgpu'] },
  build: {
    ssr: true,
    outDir: 'dist/program',
    emptyOutDir: true,
    target: 'node20',
    sourcemap: true,
    rolldownOptions: {
      input: {
        main: 'cli/main.ts',
        prettier: 'editor/prettier/plugin.ts',
        'analyst-worker': 'editor/lsp/analyst-worker.ts',
        'follow-parent': 'cli/follow-parent.ts',
        'encode-worker': 'runtime/jobs/encode-worker.ts',
        'trial-worker': 'runtime/tune/trial-worker.ts',
      },
      output: { entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
    },
  },
});
