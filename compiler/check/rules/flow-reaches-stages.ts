/** Every stage is in the flow, and KV exists before it is decoded: no decode stage comes before a prefill stage. */
import { report } from '../../diagnostics/catalogue.js';
import type { Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Rule } from './rule.js';

export const flowReachesStages: Rule = ({ plan }) => {
  const found: Diagnostic[] = [];
  const { flow } = plan;
  for (const stage of plan.stages)
    if (!flow.stages.includes(stage.name))
      found.push(
        report(
          'stage-not-in-flow',
          { stage: stage.name },
          {
            primary: flow.origin,
            related: [{ ...stage.origin, label: 'declared here' }],
            helps: ['add it to the flow, or remove the stage'],
          },
        ),
      );
  const stages = flow.stages.map((name) => plan.stages.find((s) => s.name === name)!);
  const decode = stages.findIndex((s) => !s.phases.includes('prefill'));
  const late = decode < 0 ? undefined : stages.slice(decode).find((s) => s.phases.includes('prefill'));
  if (late)
    found.push(
      report('flow-order', { first: stages[decode]!.name, second: late.name }, { primary: flow.origin }),
    );
  return found;
};
