/** `fulcrum diff`: what a change to a plan does to constants, ops, bytes per link, peak per tier and predicted time. */
import { Option } from 'commander';
import type { CompileResult } from '../../compiler/compile.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { simulate } from '../../runtime/clock/simulate.js';
import {
  action,
  addJsonOption,
  collectSettings,
  gather,
  type AddCommand,
  type CommandContext,
} from '../command.js';
import {
  describeDiff,
  describeUnpaired,
  diffFigures,
  markdownDiff,
  markdownUnpaired,
  type Unpaired,
} from '../diff/diff.js';
import { figuresOf } from '../diff/figures.js';
import { pairWorkloads } from '../diff/workload.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { jsonDocument } from '../json-document.js';
import {
  checkPlanFile,
  choosePlan,
  compileOrRefuse,
  refuseUnchosen,
  refuseUnsound,
  type CheckedFile,
  type Unchosen,
} from '../load-plan.js';
import { shownPath } from '../shown-path.js';
import { describeUndone } from '../simulation-report.js';
import { diagnosticsSaid, err, out, saysOnce, type Terminal } from '../terminal.js';
import { chooseRequests, refuseRequests, type ChosenRequests } from '../workloads.js';

interface DiffOptions {
  readonly plan?: readonly string[];
  readonly workload?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly markdown?: boolean;
  readonly json?: boolean;
}

export const addDiffCommand: AddCommand = (program, context) => {
  const command = program
    .command('diff')
    .description('compare plans: constants, ops, bytes per link, peak per tier and predicted time')
    .argument('<before>', 'plan file')
    .argument('[after]', 'plan file it is compared with; without it, two plans of the first')
    .option('--plan <name>', 'plan to compare; twice to compare one with the other', gather)
    .option(
      '--workload <name>',
      'workload of the plan files, or a .jsonl file of lengths, to predict time with',
    )
    .option('--set <name=value>', 'value of a param of the files (repeatable)', collectSettings)
    .addOption(new Option('--markdown', 'print Markdown, for a comment on a change').conflicts('json'));
  addJsonOption(command).action(
    action(context, (before: string, after: string | undefined, options: DiffOptions) =>
      diffFiles(before, after, options, context),
    ),
  );
};

/** A plan on one side of a comparison. */
interface Side {
  readonly file: string;
  readonly checked: CheckedFile;
  readonly plan: Plan;
}

type Pairs =
  | {
      readonly kind: 'pairs';
      readonly pairs: readonly (readonly [Side, Side])[];
      readonly unpaired: Unpaired;
    }
  | { readonly kind: 'unpaired'; readonly why: Unchosen; readonly of: Checked };

function diffFiles(
  before: string,
  after: string | undefined,
  options: DiffOptions,
  { terminal }: CommandContext,
): ExitCode {
  const files = after === undefined ? [before] : [before, after];
  const checked = checkSides(files, options, terminal);
  for (const { checked: each } of checked) {
    const refused = refuseUnsound(terminal, each);
    if (refused !== undefined) return refused;
  }
  const chosen = pairUp(checked[0]!, checked.at(-1)!, options.plan ?? [], files.length === 1);
  if (chosen.kind === 'unpaired') return refuseUnchosen(terminal, chosen.why, chosen.of.checked.render);
  const results = new Map<Plan, CompileResult>();
  for (const { checked: each } of checked) {
    const plans = [
      ...new Set(chosen.pairs.flat().flatMap(({ plan }) => (each.plans.includes(plan) ? [plan] : []))),
    ];
    const loaded = compileOrRefuse(terminal, each, plans);
    if (loaded.kind === 'failed') return loaded.exit;
    for (const { plan, result } of loaded.compiled) results.set(plan, result);
  }
  const diffs = [];
  const sayOnce = saysOnce(terminal);
  for (const pair of chosen.pairs) {
    const requests = requestsOfSides(pair, options.workload, { terminal, sayOnce });
    if (typeof requests === 'number') return requests;
    const [before, after] = pair.map(({ file, checked: { render }, plan }, place) => {
      const compiled = results.get(plan)!;
      const simulation = requests && simulate(compiled.runtime, plan, requests[place]!.requests);
      const title = `${shownPath(file)}: ${plan.name}`;
      const told = files.length === 1 ? '' : `${shownPath(file)}: `;
      if (simulation)
        for (const undone of describeUndone({ plan: plan.name, requests: simulation.requests }))
          sayOnce(`warning: ${told}${undone}`);
      return { title, figures: figuresOf(plan, compiled, simulation, render) };
    });
    diffs.push(diffFigures(before!, after!, requests && pairWorkloads(...requests)));
  }
  const [show, showUnpaired] = options.markdown
    ? [markdownDiff, markdownUnpaired]
    : [describeDiff, describeUnpaired];
  if (options.json)
    out(
      terminal,
      jsonDocument('diff', { diffs, ...chosen.unpaired, diagnostics: diagnosticsSaid(terminal) }),
    );
  else out(terminal, [...diffs.map(show), ...showUnpaired(chosen.unpaired)].join('\n\n'));
  return EXIT.ok;
}

type Checked = Omit<Side, 'plan'>;

/**
 * Checks the files, or of each what is compared of it. A param that one of two files alone has is set in that one: a change
 * may well be what adds it.
 */
function checkSides(
  files: readonly string[],
  { set, plan: names = [] }: DiffOptions,
  terminal: Terminal,
): readonly Checked[] {
  const check = (
    file: string,
    place: number,
    settings: DiffOptions['set'],
  ): ReturnType<typeof checkPlanFile> => {
    const own = place === 0 ? names.slice(0, 1) : names.slice(-1);
    return checkPlanFile(file, settings, terminal.colour, files.length === 1 ? names : own);
  };
  const sides = files.map((file, place) => ({ file, checked: check(file, place, set) }));
  const lacking = sides.map(({ checked }) => unknownParams(checked));
  return sides.map((side, place) => {
    const { file } = side;
    const gone = [...lacking[place]!].filter((name) => lacking.some((names) => !names.has(name)));
    if (gone.length === 0) return side;
    for (const name of gone) err(terminal, `${file} has no param ${name}: it is set in the other file alone`);
    const rest = Object.fromEntries(Object.entries(set ?? {}).filter(([name]) => !gone.includes(name)));
    return { file, checked: check(file, place, rest) };
  });
}

/** Names that were to be set and are none of a param of the file. */
function unknownParams({ diagnostics }: CheckedFile): ReadonlySet<unknown> {
  return new Set(diagnostics.filter(({ slug }) => slug === 'unknown-param').map(({ data }) => data['param']));
}

/** Which plans are compared: those named, else those that both files have. */
function pairUp(before: Checked, after: Checked, names: readonly string[], oneFile: boolean): Pairs {
  const misused = (message: string): Pairs => ({
    kind: 'unpaired',
    why: { kind: 'usage', message },
    of: before,
  });
  if (names.length > 2) return misused('--plan can be given twice at most');
  if (oneFile && names.length < 2)
    return misused('two plans of one file are named with --plan x --plan y; or name a second file');
  const { plans } = before.checked;
  if (names.length === 0) {
    const others = after.checked.plans;
    const shared = plans.filter(({ name }) => others.some((other) => other.name === name));
    const only = (own: readonly Plan[], other: readonly Plan[]): readonly string[] =>
      own.flatMap(({ name }) => (other.some((each) => each.name === name) ? [] : [name]));
    const unpaired = { gone: only(plans, others), new: only(others, plans) };
    if (shared.length === 0)
      return misused('the files have no plan of the same name: choose two with --plan x --plan y');
    const pairs = shared.map((plan): readonly [Side, Side] => [
      { ...before, plan },
      { ...after, plan: others.find(({ name }) => name === plan.name)! },
    ]);
    return { kind: 'pairs', pairs, unpaired };
  }
  const first = choosePlan(plans, names[0], before.file);
  const second = choosePlan(after.checked.plans, names.at(-1), after.file);
  if (first.kind !== 'plan') return { kind: 'unpaired', why: first, of: before };
  if (second.kind !== 'plan') return { kind: 'unpaired', why: second, of: after };
  const pair: readonly [Side, Side] = [
    { ...before, plan: first.plan },
    { ...after, plan: second.plan },
  ];
  return { kind: 'pairs', pairs: [pair], unpaired: { gone: [], new: [] } };
}

type Requests = Extract<ChosenRequests, { readonly kind: 'requests' }>;

/**
 * Requests of both sides, or of neither: a prediction of one alone has nothing to be compared with. An exit code where
 * those that are asked for are not there.
 */
function requestsOfSides(
  pair: readonly [Side, Side],
  workload: string | undefined,
  { terminal, sayOnce }: { readonly terminal: Terminal; readonly sayOnce: (message: string) => void },
): readonly [Requests, Requests] | ExitCode | undefined {
  const chosen = pair.map(({ file, checked, plan }) =>
    chooseRequests(checked, workload, file, plan.model.shape.context),
  );
  const found: Requests[] = [];
  for (const each of chosen) {
    if (each.kind === 'requests') {
      found.push(each);
      for (const warning of each.warnings) sayOnce(`warning: ${warning}`);
    } else if (workload === undefined && each.kind === 'usage')
      sayOnce(`no time is predicted: ${each.message}`);
    else return refuseRequests(terminal, each);
  }
  const [before, after] = found;
  return before && after && [before, after];
}
