/** FC10: what a file says about its own diagnostics. */
import { error, warning } from './entry.js';

export const ALLOWANCES = {
  'unused-allowance': warning<{ what: string }>(
    'FC1001',
    ({ what }) => `nothing here causes ${what}: the line allows what does not happen`,
  ),
  'bad-allowance': error<{ problem: string }>('FC1002', ({ problem }) => problem),
};
