/** Bundles the VS Code extension with all that it imports, apart from the editor itself. */
import { fileURLToPath, URL } from 'node:url';
import { build } from 'vite';

/** Folder of the extension. */
export const EXTENSION = fileURLToPath(new URL('../editor/vscode/', import.meta.url));

/** Writes `extension.cjs` into a folder. */
export async function bundleExtension(outDir) {
  await build({
    root: EXTENSION,
    configFile: false,
    logLevel: 'warn',
    // Without this, packages for browsers would be preferred to those for Node.
    ssr: { target: 'node', noExternal: true },
    build: {
      ssr: 'extension.ts',
      outDir,
      emptyOutDir: false,
      target: 'node20',
      rollupOptions: { external: ['vscode'], output: { format: 'cjs', entryFileNames: 'extension.cjs' } },
    },
  });
}
