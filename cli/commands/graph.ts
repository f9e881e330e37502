/** `fulcrum graph`: draws a level of a plan. */
import { Option } from 'commander';
import { simulate } from '../../runtime/clock/simulate.js';
import type { Simulation } from '../../runtime/clock/simulation.js';
import { action, collectSettings, type AddCommand, type CommandContext } from '../command.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { formatCount, plural } from '../format.js';
import { drawLevel, drawPage, GRAPH_FORMATS, GRAPH_LEVELS, type GraphLevel } from '../graph/draw.js';
import type { Simulated } from '../graph/topology.js';
import { loadPlan } from '../load-plan.js';
import { describeUndone } from '../simulation-report.js';
import { STANDARD_STREAM } from '../standard-streams.js';
import { err, fail } from '../terminal.js';
import { chooseRequests, refuseRequests } from '../workloads.js';
import { refuseUnwritable, writeText } from '../write-text.js';

const FORMATS = [...GRAPH_FORMATS, 'html'] as const;
type Format = (typeof FORMATS)[number];

/** Of formats that hold one drawing. */
const DEFAULT_LEVEL: GraphLevel = 'topology';

/** Formats by the ending of a file. */
const ENDINGS: Readonly<Record<string, Format>> = {
  '.svg': 'svg',
  '.dot': 'dot',
  '.gv': 'dot',
  '.mmd': 'mermaid',
  '.mermaid': 'mermaid',
  '.html': 'html',
  '.htm': 'html',
};

interface GraphOptions {
  readonly plan?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly level?: GraphLevel;
  readonly format?: Format;
  readonly workload?: string;
  readonly out: string;
}

export const addGraphCommand: AddCommand = (program, context) => {
  program
    .command('graph')
    .description('draw a plan: its machine with what links carry, shardings, flow, and what moves in between')
    .argument('<file>', 'plan file')
    .requiredOption('--out <file>', 'file to write, whose ending says the format; - for standard output')
    .addOption(
      new Option('--level <level>', 'what to draw; a page has all levels unless one is named').choices(
        GRAPH_LEVELS,
      ),
    )
    .addOption(new Option('--format <format>', 'in place of what the ending says').choices(FORMATS))
    .option(
      '--workload <name>',
      'workload of the file, or a .jsonl file of lengths, in which links are shown as busy as a simulation finds them; the first of the file unless named',
    )
    .option('--plan <name>', 'plan of the file; needed when it has several')
    .option('--set <name=value>', 'value of a param (repeatable)', collectSettings)
    .action(action(context, (file: string, options: GraphOptions) => drawFile(file, options, context)));
};

function drawFile(file: string, options: GraphOptions, { terminal }: CommandContext): ExitCode {
  const { out: path, level } = options;
  const format = options.format ?? formatOf(path);
  if (format === undefined) {
    const endings = Object.keys(ENDINGS).join(', ');
    const why =
      path === STANDARD_STREAM
        ? 'standard output has no name that says a format: give --format'
        : `the name of ${path} says no format: end it in one of ${endings}, or give --format`;
    fail(terminal, why);
    return EXIT.usage;
  }
  const written = path === STANDARD_STREAM ? undefined : path;
  refuseUnwritable(written);
  const loaded = loadPlan(file, { ...options, written: [written] }, terminal);
  if (loaded.kind === 'failed') return loaded.exit;
  const { plan, compiled, checked } = loaded;
  const levels = level === undefined ? (format === 'html' ? GRAPH_LEVELS : [DEFAULT_LEVEL]) : [level];
  const wanted = options.workload ?? (levels.includes('topology') ? checked.workloads[0]?.name : undefined);
  let simulated: Simulated | undefined;
  if (wanted !== undefined) {
    const chosen = chooseRequests(checked, wanted, file, plan.model.shape.context);
    if (chosen.kind === 'requests') {
      const simulation = simulate(compiled.runtime, plan, chosen.requests);
      const undone = describeUndone({ plan: plan.name, requests: simulation.requests });
      for (const warning of [...chosen.warnings, ...undone]) err(terminal, `warning: ${warning}`);
      simulated = { workload: amountOf(chosen.name, simulation), simulation };
    } else if (options.workload !== undefined) return refuseRequests(terminal, chosen);
    else err(terminal, `workload ${wanted} is left out: ${chosen.message}`);
  }
  if (levels.includes('topology') && options.workload === undefined)
    err(
      terminal,
      simulated === undefined
        ? 'how busy links are is not shown: name a workload, or a .jsonl file of lengths, with --workload'
        : `links are as busy as in workload ${simulated.workload}; --workload names another`,
    );
  const text =
    format === 'html'
      ? drawPage(levels, plan, compiled, simulated)
      : drawLevel(level ?? DEFAULT_LEVEL, format, plan, compiled, simulated);
  if (written === undefined) {
    terminal.writeOut(text);
    return EXIT.ok;
  }
  const unwritten = writeText(written, text);
  if (unwritten !== undefined) throw unwritten;
  err(terminal, `wrote ${written}`);
  return EXIT.ok;
}

/** `w, 62 requests, 1 rejected`: a drawing goes where no warning does. */
function amountOf(name: string, { requests: { finished, rejected, cut } }: Simulation): string {
  return [
    ...[name, plural(finished + rejected, 'request')],
    ...(rejected > 0 ? [`${formatCount(rejected)} rejected`] : []),
    ...(cut > 0 ? [`${plural(cut, 'answer')} cut short`] : []),
  ].join(', ');
}

function formatOf(path: string): Format | undefined {
  return Object.entries(ENDINGS).find(([ending]) => path.toLowerCase().endsWith(ending))?.[1];
}
