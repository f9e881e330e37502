/** `fulcrum demo`: the shipped model over its own requests, and how many of its answers are exactly right. */
import { join } from 'node:path';
import { Option } from 'commander';
import { PLAN_WEIGHT_TYPES } from '../../compiler/model/weight-types.js';
import { addJsonOption, gpuAction, type AddCommand } from '../command.js';

export const addDemoCommand: AddCommand = (program, context) => {
  const command = program
    .command('demo')
    .description('run the shipped model over its 256 extraction requests')
    .option('--plan <name>', 'plan of plans/clerk.plan', 'reshard')
    .addOption(
      new Option('--weights <type>', "element type of weights, in place of the plan's").choices(
        PLAN_WEIGHT_TYPES,
      ),
    )
    .option('--no-prefix-reuse', 'compute every prompt whole, also what it has in common with others')
    .option('--out <file>', 'where the answers go', join('out', 'demo.jsonl'));
  addJsonOption(command).action(gpuAction(context, async () => (await import('../run-demo.js')).runDemo));
};
