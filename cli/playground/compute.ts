/**
 * Everything the playground shows about a plan file, computed from its text alone: it runs in a worker of the browser,
 * with the compiler and the clock that the command line has.
 */
import {
  checkAndCompile,
  type CheckedAndCompiled,
  type CompiledPlan,
} from '../../compiler/check-and-compile.js';
import { engineOf } from '../../compiler/cost/engine-model.js';
import type { Diagnostic } from '../../compiler/diagnostics/diagnostic.js';
import { oneFileHost } from '../../compiler/host.js';
import { printLogical } from '../../compiler/ir/print-logical.js';
import { printRuntime } from '../../compiler/ir/print-runtime.js';
import { printSharded } from '../../compiler/ir/print-sharded.js';
import { printTransitions } from '../../compiler/ir/print-transitions.js';
import { printPlan } from '../../compiler/plan/print-plan.js';
import { hasLengths, type Workload } from '../../compiler/plan/workload.js';
import { drawRequests } from '../../runtime/clock/lengths.js';
import { simulate } from '../../runtime/clock/simulate.js';
import { createTimeline } from '../../runtime/clock/timeline.js';
import { plural } from '../format.js';
import { drawLevel, GRAPH_LEVELS } from '../graph/draw.js';
import { simulationPage } from '../page/page.js';
import { planPage } from '../page/plan-page.js';
import { drawnDevices, isDrawn } from '../page/timeline-data.js';
import { renderDiagnostic } from '../render-diagnostics.js';
import { simulationReport } from '../simulation-report.js';

/** Name of the edited file in messages. */
export const FILE = 'playground.plan';

/** Requests beyond which a workload is cut, so that an answer comes while one waits for it. */
export const MOST_REQUESTS = 200;

/** A diagnostic where the editor marks it; offsets are into the text. */
export interface Problem {
  readonly start: number;
  readonly end: number;
  readonly severity: Diagnostic['severity'];
  readonly message: string;
}

/** What is shown of one plan; texts of levels by their name, in the order of the compiler. */
export interface ShownPlan {
  readonly name: string;
  readonly levels: Readonly<Record<string, string>>;
  /** SVG of every level that `graph` draws. */
  readonly drawings: readonly string[];
}

export interface Answer {
  readonly problems: readonly Problem[];
  /** All diagnostics as the command line prints them; empty when there are none. */
  readonly report: string;
  readonly plans: readonly ShownPlan[];
}

/** An HTML page, or why there is none. */
export type SimulationAnswer = { readonly page: string } | { readonly why: string };

/** Checks and compiles a text. Never throws for what the text says. */
export function compute(text: string): Answer {
  const { compiled, diagnostics, files } = compileText(text);
  const render = { textOf: (file: string) => files.get(file), nameOf: (file: string) => file, colour: false };
  return {
    problems: diagnostics.map(problemOf),
    report: diagnostics.map((diagnostic) => renderDiagnostic(diagnostic, render)).join('\n\n'),
    plans: compiled.filter(({ result }) => result.runtime.stages.length > 0).map(show),
  };
}

/** Simulates all plans of a text under its first workload. */
export function computeSimulation(text: string): SimulationAnswer {
  const { compiled, workloads, diagnostics } = compileText(text);
  if (diagnostics.some(({ severity }) => severity === 'error')) return { why: 'The file has errors.' };
  const workload = workloads.find(hasLengths);
  if (workload === undefined)
    return {
      why: 'The file declares no workload with lengths, such as `workload w { requests: 100, prompt: 1000 tokens, output: 100 tokens }`.',
    };
  const drawn = { ...workload.requests, count: Math.min(workload.requests.count, MOST_REQUESTS) };
  const pages = compiled.map(({ plan, result }) => {
    const engine = engineOf(plan.topology);
    const timeline = createTimeline(isDrawn(drawnDevices(result.runtime)));
    const requests = drawRequests(drawn, plan.model.shape.context);
    const simulation = simulate(result.runtime, plan, requests, { engine, timeline });
    const report = { ...simulationReport({ plan: plan.name, simulation }), engine };
    return planPage(report, plan, result.runtime, timeline);
  });
  if (pages.length === 0) return { why: 'The file declares no plan.' };
  return { page: simulationPage({ title: FILE, about: describeWorkload(workload, drawn.count) }, pages) };
}

function describeWorkload({ name, requests }: Workload, count: number): string {
  const all = requests.kind === 'drawn' ? requests.count : count;
  const cut = all > count ? ` (the first of ${all})` : '';
  return `workload ${name}: ${plural(count, 'request')}${cut}`;
}

function show({ plan, result }: CompiledPlan): ShownPlan {
  return {
    name: plan.name,
    levels: {
      plan: printPlan(plan),
      logical: printLogical(result.logical),
      sharded: printSharded(result.sharded),
      transitions: printTransitions(result.transitions),
      runtime: printRuntime(result.runtime),
    },
    drawings: GRAPH_LEVELS.map((level) => drawLevel(level, 'svg', plan, result)),
  };
}

function problemOf({ primary, severity, code, message, helps }: Diagnostic): Problem {
  // What lies in an imported file is marked where the file begins.
  const span = primary?.file === FILE ? primary.span : { start: 0, end: 0 };
  return {
    ...span,
    severity,
    message: [`${code}: ${message}`, ...helps.map((help) => `help: ${help}`)].join('\n'),
  };
}

function compileText(text: string): CheckedAndCompiled {
  const help = 'give the shape of the model instead: `family`, `layers`, `hidden`, ...';
  return checkAndCompile(oneFileHost(FILE, text, 'a page has no access to files', help), FILE);
}
