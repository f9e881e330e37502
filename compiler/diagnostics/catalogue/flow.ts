/** FC07: stages, flow and schedule. */
import { error, named } from './entry.js';

export const FLOW = {
  'missing-phase': error<{ phase: string; plan: string }>(
    'FC0701',
    ({ phase, plan }) => `no stage of ${named('plan', plan)} does ${phase}`,
  ),
  'unknown-stage': error<{ stage: string; plan: string }>(
    'FC0702',
    ({ stage, plan }) => `${named('plan', plan)} has no stage called \`${stage}\``,
  ),
  'flow-ends': error<{ end: string; found: string }>(
    'FC0703',
    ({ end, found }) =>
      `a flow ${end === 'requests' ? 'begins with `requests`' : 'ends with `results`'}, not with \`${found}\``,
  ),
  'stage-not-in-flow': error<{ stage: string }>(
    'FC0704',
    ({ stage }) => `${named('stage', stage)} is never reached: the flow does not name it`,
  ),
  'flow-order': error<{ first: string; second: string }>(
    'FC0705',
    ({ first, second }) => `\`${first}\` decodes and stands before \`${second}\`, which prefills`,
  ),
  'unknown-condition': error<{ found: string }>(
    'FC0706',
    ({ found }) => `\`${found}\` is nothing that a rule can watch`,
  ),
  'unknown-phase': error<{ phase: string }>('FC0707', ({ phase }) => `\`${phase}\` is no phase`),
  'duplicate-stage': error<{ stage: string }>(
    'FC0708',
    ({ stage }) => `this plan already has a stage called \`${stage}\``,
  ),
  'duplicate-block': error<{ block: string }>(
    'FC0709',
    ({ block }) => `this ${block} is the second one in its place`,
  ),
  'stage-repeated': error<{ stage: string }>('FC0710', ({ stage }) => `the flow passes \`${stage}\` twice`),
  'like-cycle': error<{ cycle: readonly string[] }>(
    'FC0711',
    ({ cycle }) => `these stages are like each other: ${cycle.join(' like ')}`,
  ),
  'misplaced-member': error<{ member: string; place: string }>(
    'FC0712',
    ({ member, place }) => `\`${member}\` cannot stand in ${place}`,
  ),
};
