/** Every stage is in the flow, and KV exists before it is decoded: no decode stage comes before a prefill stage. */
import { report } from '../../diagnostics/catalogue.js';
import type { Diagnostic, Fix, Origin } from '../../diagnostics/diagnostic.js';
import type { Stage } from '../../plan/plan.js';
import { replacement } from '../fixes.js';
import type { Rule } from './rule.js';

export const flowReachesStages: Rule = ({ plan }) => {
  const found: Diagnostic[] = [];
  const { flow } = plan;
  const inFlow = flow.stages.map((name) => plan.stages.find((s) => s.name === name)!);
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
            fixes: [inOrder([...inFlow, stage], flow.origin)],
          },
        ),
      );
  const decode = inFlow.findIndex((s) => !s.phases.includes('prefill'));
  const late = decode < 0 ? undefined : inFlow.slice(decode).find((s) => s.phases.includes('prefill'));
  if (late) {
    const facts = { first: inFlow[decode]!.name, second: late.name };
    const fixes = [inOrder(inFlow, flow.origin)];
    found.push(report('flow-order', facts, { primary: flow.origin, fixes }));
  }
  return found;
};

/** The flow with what prefills before what only decodes. */
function inOrder(stages: readonly Stage[], written: Origin): Fix {
  const prefills = ({ phases }: Stage): boolean => phases.includes('prefill');
  const order = [...stages.filter(prefills), ...stages.filter((stage) => !prefills(stage))];
  return replacement(written, `flow requests -> ${order.map(({ name }) => name).join(' -> ')} -> results`);
}
