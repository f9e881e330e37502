/** The segment files of a run, each made with its header when the first of its pages is written. */
import type { RunFolder } from './run-folder.js';
import { encodeHeader, HEADER_BYTES, isHeaderOf, type KvIdentity, type SegmentHeader } from './segment.js';
import type { TierFile, TierFiles } from './tier-files.js';
import { readFully, writeFully } from './transfer.js';

export interface SegmentFiles {
  /** Rejects with what the system says when the file cannot be made; a later call tries again. */
  readonly open: (segment: number) => Promise<TierFile>;
  /** Whether a file no longer begins with the header of this segment. */
  readonly isForeign: (file: TierFile, segment: number) => Promise<boolean>;
  /** Never rejects. */
  readonly close: () => Promise<void>;
}

export function createSegmentFiles(
  folder: RunFolder,
  files: TierFiles,
  identity: KvIdentity,
  pageBytes: number,
): SegmentFiles {
  const segments = new Map<number, Promise<TierFile>>();
  const headerOf = (segment: number): SegmentHeader => ({ identity, run: folder.run, segment, pageBytes });

  async function create(segment: number): Promise<TierFile> {
    const path = folder.segment(segment);
    const file = await files.create(path);
    const { error } = await writeFully(file, [encodeHeader(headerOf(segment))], 0);
    if (error === undefined) return file;
    // Made anew when the next page wants it: there may be room by then.
    await file.close();
    await files.remove(path);
    throw error;
  }

  return {
    open(segment) {
      let opening = segments.get(segment);
      if (opening === undefined) {
        opening = create(segment);
        segments.set(segment, opening);
        opening.catch(() => segments.delete(segment));
      }
      return opening;
    },
    async isForeign(file, segment) {
      const header = new Uint8Array(HEADER_BYTES);
      const result = await readFully(file, [header], 0);
      return result.bytes === HEADER_BYTES && !isHeaderOf(header, headerOf(segment));
    },
    async close() {
      for (const opened of await Promise.allSettled(segments.values())) {
        if (opened.status === 'fulfilled') await opened.value.close().catch(() => undefined);
      }
    },
  };
}
