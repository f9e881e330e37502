/** What the compiler decided about the plans of a file and why, or what a line of it or an op is about. */
import { lineMap } from '../../grammar/line-map.js';
import type { CommandContext } from '../command.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { plural } from '../format.js';
import { jsonDocument } from '../json-document.js';
import { checkPlanFile, choosePlan, compileOrRefuse, refuseUnchosen, refuseUnsound } from '../load-plan.js';
import { diagnosticsSaid, fail, out, type Terminal } from '../terminal.js';
import { describeExplanation } from './describe-plan.js';
import { explainPlan } from './explain-plan.js';
import { causedByLine, causesOfOp, describeCaused, type AskedFile } from './provenance.js';

export interface ExplainOptions {
  readonly plan?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly json?: boolean;
  readonly op?: string;
}

/** `FILE:LINE`. */
const LINE_OF_FILE = /^(.*):(\d+)$/;

export function explainFile(what: string, options: ExplainOptions, { terminal }: CommandContext): ExitCode {
  const [, named, line] = LINE_OF_FILE.exec(what) ?? [];
  const file = named ?? what;
  const checked = checkPlanFile(
    file,
    options.set,
    terminal.colour,
    options.plan === undefined ? [] : [options.plan],
  );
  const refused = refuseUnsound(terminal, checked);
  if (refused !== undefined) return refused;
  const chosen = options.plan === undefined ? undefined : choosePlan(checked.plans, options.plan, file);
  if (chosen !== undefined && chosen.kind !== 'plan') return refuseUnchosen(terminal, chosen, checked.render);
  const plans = chosen === undefined ? checked.plans : [chosen.plan];
  const { lineCount } = lineMap(checked.files.get(checked.path)!);
  const wrong =
    plans.length === 0
      ? `${file} has no plan`
      : line !== undefined && (Number(line) < 1 || Number(line) > lineCount)
        ? `${file} has no line ${line}: it has ${plural(lineCount, 'line')}`
        : undefined;
  if (wrong !== undefined) {
    fail(terminal, wrong);
    return EXIT.usage;
  }
  const loaded = compileOrRefuse(terminal, checked, plans);
  if (loaded.kind === 'failed') return loaded.exit;
  const { compiled } = loaded;
  const asked = { file, compiled, render: checked.render };
  if (options.op !== undefined) return explainOp(asked, options.op, options, terminal);
  if (line !== undefined) return explainLine(asked, Number(line), options, terminal);
  const explained = compiled.map(({ plan, result }) => explainPlan(plan, result, checked.render));
  if (options.json)
    out(
      terminal,
      jsonDocument('explain', { file, plans: explained, diagnostics: diagnosticsSaid(terminal) }),
    );
  else out(terminal, explained.map(describeExplanation).join('\n\n'));
  return EXIT.ok;
}

/** What a line of the file caused, plan by plan. */
function explainLine(asked: AskedFile, line: number, { json }: ExplainOptions, terminal: Terminal): ExitCode {
  const plans = causedByLine(asked, line);
  if (json) out(terminal, jsonDocument('explain', { file: asked.file, line, plans }));
  else if (plans.length === 0) out(terminal, nothingTraced(asked.file, line));
  else out(terminal, plans.map(describeCaused).join('\n\n'));
  return EXIT.ok;
}

/** A line may decide much of which no op says so: a cap of KV, or that stages take turns. */
function nothingTraced(file: string, line: number): string {
  return [
    `nothing is traced to ${file}:${line}: no split weight, inserted op, send, allocation or move has its origin there`,
    `the effects of other settings are not traced; \`fulcrum explain ${file}\` says what was decided in all`,
  ].join('\n');
}

/** Where an op comes from. */
function explainOp(asked: AskedFile, id: string, { json }: ExplainOptions, terminal: Terminal): ExitCode {
  const found = causesOfOp(asked, id);
  if (found.length === 0) {
    fail(terminal, `no plan has an op ${id}; \`fulcrum explain ${asked.file}:LINE\` prints ids`);
    return EXIT.usage;
  }
  out(
    terminal,
    json
      ? jsonDocument('explain', { file: asked.file, op: id, plans: found })
      : found.map(describeCaused).join('\n\n'),
  );
  return EXIT.ok;
}
