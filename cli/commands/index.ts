import type { AddCommand } from '../command.js';
import { addDevicesCommand } from './devices.js';

/** Every command, in the order of the help text. */
export const COMMANDS: readonly AddCommand[] = [addDevicesCommand];
