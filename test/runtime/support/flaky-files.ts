import type { TierFiles } from '../../../runtime/kv/tier-files.js';

/** Called before a transfer with its buffers: throws to fail it, returns a number of bytes to cut it short. */
type Interfere = (buffers: readonly Uint8Array[]) => number | undefined;

/** Files whose transfers fail or fall short as the test says. */
export function flakyFiles(
  files: TierFiles,
  interfere: { readonly write?: Interfere; readonly read?: Interfere },
): TierFiles {
  const cut = (buffers: readonly Uint8Array[], bytes: number | undefined): Uint8Array[] => {
    let left = bytes ?? Infinity;
    const kept: Uint8Array[] = [];
    for (const buffer of buffers) {
      if (left <= 0) break;
      kept.push(buffer.subarray(0, Math.min(left, buffer.byteLength)));
      left -= buffer.byteLength;
    }
    return kept;
  };
  return {
    ...files,
    async create(path) {
      const file = await files.create(path);
      return {
        write: async (buffers, position) => file.write(cut(buffers, interfere.write?.(buffers)), position),
        read: async (buffers, position) => file.read(cut(buffers, interfere.read?.(buffers)), position),
        close: () => file.close(),
      };
    },
  };
}

export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}
