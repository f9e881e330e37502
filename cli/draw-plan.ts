/** The drawing of a compiled plan. */
import type { CompileResult } from '../compiler/compile.js';
import { printMesh } from '../compiler/ir/print.js';
import type { Plan } from '../compiler/plan/plan.js';
import { drawTransitions } from '../compiler/reshard/draw.js';

/** SVG: who owns which layers and heads in each stage, and what moves between. */
export function drawPlan(plan: Plan, { transitions }: CompileResult): string {
  return drawTransitions(transitions, {
    title: `${plan.name}: ${plan.model.name} on ${plan.topology.name}`,
    layers: plan.model.shape.layers,
    kvHeads: plan.model.shape.kvHeads,
    devicePath: (device) => plan.topology.devices[device]!.path,
    mesh: (name) => printMesh(plan.stages.find((stage) => stage.name === name)!.mesh),
  });
}
