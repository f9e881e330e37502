/** What a page of simulations shows of one plan, be it written by the command line or made in a browser. */
import type { RuntimeGraph } from '../../compiler/ir/runtime-graph.js';
import type { Plan } from '../../compiler/plan/plan.js';
import type { Timeline } from '../../runtime/clock/timeline.js';
import { describeEffects } from '../engine-effects.js';
import type { EngineReport } from '../simulation-report.js';
import type { SimulatedPlan } from './page.js';
import { drawnDevices, timelineData } from './timeline-data.js';

/** @param timeline with the lanes of the devices that are drawn, at least */
export function planPage(
  report: EngineReport,
  { model, topology }: Plan,
  runtime: RuntimeGraph,
  timeline: Timeline,
): SimulatedPlan {
  return {
    report,
    about: [`${model.name} on ${topology.name}`, ...describeEffects(report.engine)].join('; '),
    timeline: timelineData(timeline, report.kv, report.makespan, drawnDevices(runtime)),
  };
}
