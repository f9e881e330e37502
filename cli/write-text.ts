/** Files that commands write for people. */
import { writeFileSync } from 'node:fs';
import { systemReason } from '../runtime/system-reason.js';

/** Replaces the file; returns why that cannot be done, if so. */
export function writeText(path: string, text: string): string | undefined {
  try {
    writeFileSync(path, text);
    return undefined;
  } catch (cause) {
    return `cannot write ${path}: ${systemReason(cause)}`;
  }
}
