/** The files of the disk tier, behind an interface small enough to fail on purpose in tests. */
import { open, rm } from 'node:fs/promises';

export interface TierFile {
  /** Writes the buffers one after the other from `position` on; resolves with the bytes written, maybe fewer than given. */
  write(buffers: readonly Uint8Array[], position: number): Promise<number>;
  /** Fills the buffers one after the other from `position` on; resolves with the bytes read, fewer at the end. */
  read(buffers: readonly Uint8Array[], position: number): Promise<number>;
  close(): Promise<void>;
}

export interface TierFiles {
  /** Makes a new file to write and read. Rejects when there is one already. */
  create(path: string): Promise<TierFile>;
  remove(path: string): Promise<void>;
}

export const nodeFiles: TierFiles = {
  async create(path) {
    const handle = await open(path, 'wx+', 0o600);
    return {
      write: async (buffers, position) => (await handle.writev(buffers, position)).bytesWritten,
      read: async (buffers, position) => (await handle.readv(buffers, position)).bytesRead,
      close: () => handle.close(),
    };
  },
  remove: (path) => rm(path),
};
