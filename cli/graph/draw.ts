/** Drawings of a compiled plan: every level in every format. */
import type { CompileResult } from '../../compiler/compile.js';
import { printMesh } from '../../compiler/ir/print.js';
import type { Plan, Stage } from '../../compiler/plan/plan.js';
import { drawShardings, type DrawOptions } from '../../compiler/reshard/draw-holdings.js';
import { drawTransitions } from '../../compiler/reshard/draw.js';
import { formatBytes } from '../format.js';
import type { Diagram } from './diagram.js';
import { flowDiagram } from './flow.js';
import { movesDiagram } from './moves.js';
import { printDot } from './print-dot.js';
import { printHtml } from './print-html.js';
import { printMermaid } from './print-mermaid.js';
import { printSvg } from './print-svg.js';
import { shardingDiagram, tpShardings } from './sharding.js';
import { topologyDiagram, type Simulated } from './topology.js';

interface LevelDrawing {
  readonly diagram: (plan: Plan, compiled: CompileResult, simulated?: Simulated) => Diagram;
  /** A picture to scale, where there is one: it shows more than nodes and edges can. */
  readonly picture?: (plan: Plan, compiled: CompileResult) => string;
}

const DRAWINGS = {
  topology: { diagram: topologyDiagram },
  sharding: {
    diagram: shardingDiagram,
    picture: (plan, { transitions }) => drawShardings(transitions, drawOptions(plan)),
  },
  flow: { diagram: flowDiagram },
  transitions: {
    diagram: movesDiagram,
    picture: (plan, { transitions }) => drawTransitions(transitions, drawOptions(plan)),
  },
} as const satisfies Readonly<Record<string, LevelDrawing>>;

/** What of a plan is drawn. */
export type GraphLevel = keyof typeof DRAWINGS;

export const GRAPH_LEVELS = Object.keys(DRAWINGS) as readonly GraphLevel[];

export const GRAPH_FORMATS = ['svg', 'dot', 'mermaid'] as const;

export type GraphFormat = (typeof GRAPH_FORMATS)[number];

/** Draws one level. `simulated`: a simulated workload, to show how busy links are in it. */
export function drawLevel(
  level: GraphLevel,
  format: GraphFormat,
  plan: Plan,
  compiled: CompileResult,
  simulated?: Simulated,
): string {
  const drawing: LevelDrawing = DRAWINGS[level];
  if (format === 'svg' && drawing.picture !== undefined) return drawing.picture(plan, compiled);
  const print = { svg: printSvg, dot: printDot, mermaid: printMermaid }[format];
  return print(drawing.diagram(plan, compiled, simulated));
}

/** Draws a page of several levels, each in all formats. */
export function drawPage(
  levels: readonly GraphLevel[],
  plan: Plan,
  compiled: CompileResult,
  simulated?: Simulated,
): string {
  return printHtml(
    drawOptions(plan).title,
    levels.map((level) => {
      const draw = (format: GraphFormat): string => drawLevel(level, format, plan, compiled, simulated);
      return { level, svg: draw('svg'), dot: draw('dot'), mermaid: draw('mermaid') };
    }),
  );
}

function drawOptions(plan: Plan): DrawOptions {
  const stageOf = (name: string): Stage => plan.stages.find((stage) => stage.name === name)!;
  return {
    title: `${plan.name}: ${plan.model.name} on ${plan.topology.name}`,
    layers: plan.model.shape.layers,
    kvHeads: plan.model.shape.kvHeads,
    devicePath: (device) => plan.topology.devices[device]!.path,
    bytes: formatBytes,
    mesh: (name) => printMesh(stageOf(name).mesh),
    shardings: (name) => tpShardings(stageOf(name)),
  };
}
