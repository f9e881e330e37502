/**
 * Keys of prompt pages, by which the scheduler finds KV that is there already. The key of a page is a hash of the key
 * before it and the page's tokens, so it stands for all tokens up to the end of the page. Keys live as long as an engine,
 * which has one model, one page size and one element type, so none of these is part of them.
 */
import { hash } from 'node:crypto';

/** Of SHA-256: no two prompts, be they made to, have a key in common. */
const KEY_BYTES = 32;

/** Keys of the full pages of a prompt, in order. */
export function pageKeys(promptIds: readonly number[], pageTokens: number): readonly string[] {
  // The key before, then the tokens of the page.
  const hashed = Buffer.alloc(KEY_BYTES + pageTokens * 4);
  return Array.from({ length: Math.floor(promptIds.length / pageTokens) }, (_, page) => {
    for (let i = 0; i < pageTokens; i++) {
      hashed.writeUInt32LE(promptIds[page * pageTokens + i]!, KEY_BYTES + i * 4);
    }
    const key = hash('sha256', hashed, 'binary');
    hashed.write(key, 'binary');
    return key;
  });
}
