/** The bytes of a plan file as text. */

const DECODER = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What they say; undefined where they are not UTF-8, as in a file of another encoding or one that is no text at all. */
export function decodePlanText(bytes: Uint8Array): string | undefined {
  try {
    return DECODER.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Completes "the file ...". */
export const NOT_UTF8 = 'is not UTF-8 text';
