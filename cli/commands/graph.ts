/** `fulcrum graph`: draws a level of a plan. */
import { writeFileSync } from 'node:fs';
import { Option } from 'commander';
import type { CompileResult } from '../../compiler/compile.js';
import type { Plan } from '../../compiler/plan/plan.js';
import { action, collectSettings, type AddCommand } from '../command.js';
import { drawPlan } from '../draw-plan.js';
import { EXIT } from '../exit-codes.js';
import { loadPlan } from '../load-plan.js';
import { err } from '../terminal.js';

/** Drawings by level. */
const DRAWINGS: Readonly<Record<string, (plan: Plan, compiled: CompileResult) => string>> = {
  transitions: drawPlan,
};

interface GraphOptions {
  readonly plan?: string;
  readonly set?: Readonly<Record<string, string>>;
  readonly level: string;
  readonly out: string;
}

export const addGraphCommand: AddCommand = (program, context) => {
  program
    .command('graph')
    .description('draw a plan as SVG: who owns which layers and heads in each stage, and what moves between')
    .argument('<file>', 'plan file')
    .requiredOption('--out <file>', 'SVG file to write')
    .addOption(
      new Option('--level <level>', 'what to draw').choices(Object.keys(DRAWINGS)).default('transitions'),
    )
    .option('--plan <name>', 'plan of the file; needed when it has several')
    .option('--set <name=value>', 'value of a param (repeatable)', collectSettings)
    .action(
      action(context, (file: string, options: GraphOptions) => {
        const loaded = loadPlan(file, options, context.terminal);
        if (loaded.kind === 'failed') return loaded.exit;
        writeFileSync(options.out, DRAWINGS[options.level]!(loaded.plan, loaded.compiled));
        err(context.terminal, `wrote ${options.out}`);
        return EXIT.ok;
      }),
    );
};
