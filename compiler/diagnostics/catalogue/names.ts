/** FC02: names and imports. */
import { error } from './entry.js';

export const NAMES = {
  'unknown-name': error<{ kind: string; name: string }>(
    'FC0201',
    ({ kind, name }) => `there is no ${kind} called \`${name}\` here`,
  ),
  'duplicate-name': error<{ name: string; kind: string }>(
    'FC0202',
    ({ name, kind }) => `\`${name}\` is already declared as a ${kind} in this file`,
  ),
  'unknown-module': error<{ module: string }>('FC0203', ({ module }) => `cannot find the file "${module}"`),
  'not-declared-there': error<{ name: string; module: string }>(
    'FC0204',
    ({ name, module }) => `"${module}" declares nothing called \`${name}\``,
  ),
  'import-cycle': error<{ cycle: readonly string[] }>(
    'FC0205',
    ({ cycle }) => `these files import each other in a circle: ${cycle.join(' -> ')}`,
  ),
  'wrong-kind': error<{ name: string; is: string; needed: string }>(
    'FC0206',
    ({ name, is, needed }) => `\`${name}\` is a ${is}; a ${needed} is needed here`,
  ),
  'plan-cycle': error<{ cycle: readonly string[] }>(
    'FC0207',
    ({ cycle }) => `these plans are derived from each other: ${cycle.join(' from ')}`,
  ),
  'unknown-edition': error<{ edition: number }>(
    'FC0208',
    ({ edition }) => `edition ${edition} of the language is not known to this compiler`,
  ),
  'unknown-plan': error<{ plan: string; file: string }>(
    'FC0209',
    ({ plan, file }) => `${file} declares no plan called \`${plan}\``,
  ),
  'unreadable-file': error<{ file: string }>('FC0210', ({ file }) => `cannot read ${file}`),
};
