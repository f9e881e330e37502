import type { AddCommand } from '../command.js';

/** Every command, in the order of the help text. */
export const COMMANDS: readonly AddCommand[] = [];
