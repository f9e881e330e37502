/** FC03: properties, types, units, params and models. */
import { error, named, warning } from './entry.js';

export const TYPES = {
  'unknown-property': error<{ property: string; block: string }>(
    'FC0301',
    ({ property, block }) =>
      `${/^[aeiou]/.test(block) ? 'an' : 'a'} ${block} has no property \`${property}\``,
  ),
  'duplicate-property': error<{ property: string; block: string }>(
    'FC0302',
    ({ property, block }) => `\`${property}\` is given twice in this ${block}`,
  ),
  'missing-property': error<{ property: string; block: string; name: string }>(
    'FC0303',
    ({ property, block, name }) => `${block}${name === '' ? '' : ` \`${name}\``} needs \`${property}\``,
  ),
  'wrong-type': error<{ what: string; expected: string; found: string }>(
    'FC0304',
    ({ what, expected, found }) => `${what} takes ${expected}, not ${found}`,
  ),
  'unit-mismatch': error<{ what: string; expected: string; found: string }>(
    'FC0305',
    ({ what, expected, found }) => `${what} is measured in ${expected}, not in ${found}`,
  ),
  'unknown-unit': error<{ unit: string }>('FC0306', ({ unit }) => `\`${unit}\` is no unit`),
  'out-of-range': error<{ what: string; value: string; must: string }>(
    'FC0307',
    ({ what, value, must }) => `${what} is ${value}; it must be ${must}`,
  ),
  'outside-domain': error<{ param: string; value: string; domain: readonly string[] }>(
    'FC0308',
    ({ param, value, domain }) =>
      `${param === '' ? named('param', param) : `\`${param}\``} = ${value} is not one of its values ${domain.join(', ')}`,
  ),
  'unknown-param-type': error<{ type: string }>('FC0309', ({ type }) => `\`${type}\` is no type of a param`),
  'unknown-param': error<{ param: string }>(
    'FC0310',
    ({ param }) => `there is no param called \`${param}\` to set`,
  ),
  'too-many-values': warning<{ combinations: number; done: number; what: 'checked' | 'compiled' }>(
    'FC0311',
    ({ combinations, done, what }) =>
      `the params have ${combinations} combinations of values; only ${done} of them were ${what}`,
  ),
  'model-unreadable': error<{ source: string; why: string }>(
    'FC0312',
    ({ source, why }) => `cannot read the model "${source}": ${why}`,
  ),
  'unsupported-architecture': error<{ architecture: string; known: readonly string[] }>(
    'FC0313',
    ({ architecture, known }) =>
      `models of architecture ${architecture} are not supported (${known.join(', ')} are)`,
  ),
  'unsupported-feature': error<{ feature: string; path: string }>(
    'FC0314',
    ({ feature, path }) => `${path} asks for ${feature}, which is not supported`,
  ),
  'bad-model-config': error<{ path: string; problem: string }>(
    'FC0315',
    ({ path, problem }) => `${path}: ${problem}`,
  ),
  'unknown-value': error<{ what: string; value: string; known: readonly string[] }>(
    'FC0316',
    ({ what, value, known }) => `${what} cannot be \`${value}\`; it is one of ${known.join(', ')}`,
  ),
  'bad-shape': error<{ problem: string }>('FC0317', ({ problem }) => problem),
  'division-by-zero': error<Record<never, never>>('FC0318', () => 'this divides by zero'),
  'not-supported': error<{ feature: string }>(
    'FC0319',
    ({ feature }) => `${feature} is part of the language but not supported by this version`,
  ),
  'unit-arithmetic': error<{ op: string; left: string; right: string }>(
    'FC0320',
    ({ op, left, right }) => `${left} ${op} ${right} has no meaning`,
  ),
  'prefix-exceeds-prompt': error<{ workload: string; prefix: number; prompt: number }>(
    'FC0321',
    ({ workload, prefix, prompt }) =>
      `the prompts of workload ${workload} cannot begin with ${prefix} tokens in common: they have ${prompt}`,
  ),
  'workload-unreadable': error<{ workload: string; why: string }>(
    'FC0322',
    ({ workload, why }) => `workload ${workload} has no requests: ${why}`,
  ),
};
