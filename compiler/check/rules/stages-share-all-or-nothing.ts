/**
 * Two stages stand on the same devices or have none in common. In between, a switch would stop some ranks of a stage
 * while its others go on.
 */
import { report } from '../../diagnostics/catalogue.js';
import type { Diagnostic } from '../../diagnostics/diagnostic.js';
import { countInCommon } from '../../in-common.js';
import type { Rule } from './rule.js';

export const stagesShareAllOrNothing: Rule = ({ plan, sources }) => {
  const found: Diagnostic[] = [];
  for (const [i, second] of plan.stages.entries())
    for (const first of plan.stages.slice(0, i)) {
      const shared = countInCommon(first.devices, second.devices);
      if (shared === 0) continue;
      if (shared === first.devices.length && shared === second.devices.length) continue;
      found.push(
        report(
          'stage-overlap',
          { first: first.name, second: second.name, shared },
          {
            primary: sources.get(second.name)!.on,
            related: [{ ...sources.get(first.name)!.on, label: `${first.devices.length} devices` }],
            notes: [`\`${second.name}\` stands on ${second.devices.length} devices`],
            helps: ['use the same devices for both, or move one to devices of its own'],
          },
        ),
      );
    }
  return found;
};
