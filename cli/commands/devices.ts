/** `fulcrum devices`: the adapters found, what they can do, how fast bytes move, and what the cost model wants to know. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { isName } from '../../grammar/names.js';
import { TRUTH_WORDS } from '../../grammar/truth-words.js';
import { MOST_DEVICES } from '../calibrated-devices.js';
import { addJsonOption, gpuAction, type AddCommand } from '../command.js';

export const addDevicesCommand: AddCommand = (program, context) => {
  const command = program
    .command('devices')
    .description('show the WebGPU adapters of this machine, their limits and measured bandwidths')
    .option('--no-measure', 'leave out the measurement of bandwidths')
    .addOption(
      new Option(
        '--calibrate',
        'measure what `simulate` wants to know, and print it as a device and a topology',
      ).conflicts('measure'),
    )
    .addOption(
      new Option(
        '--devices <count>',
        'devices to open for that, measured alone and at once; unless named, as many as the plan of `--like` has, or the calibration that `--out` replaces, else 1',
      ).argParser(parseDevices),
    )
    .option('--quick', 'measure less, for a rough idea')
    .option('--like <file>', 'plan file: measure kernels in the shapes of its plan')
    .option('--plan <name>', 'plan of that file; needed when it has several')
    .addOption(
      new Option(
        '--name <name>',
        'name of the device; unless named, that of the calibration that `--out` replaces, else `here`',
      ).argParser(parseName),
    )
    .option('-o, --out <file>', 'write the device and the topology to a file instead of stdout, which is -')
    .hook('preAction', refuseWithoutCalibration);
  addJsonOption(command).action(
    gpuAction(context, async () => (await import('../report-devices.js')).reportDevices),
  );
};

/** Options that say how to calibrate, by the name of their value. */
const OF_CALIBRATION = ['devices', 'quick', 'like', 'plan', 'name', 'out'];

/** Without `--calibrate` they would change nothing: a file that is asked for would silently not be written. */
function refuseWithoutCalibration(command: Command): void {
  const given = command.options.find(
    (option) =>
      OF_CALIBRATION.includes(option.attributeName()) &&
      command.getOptionValueSource(option.attributeName()) === 'cli',
  );
  if (given !== undefined && command.getOptionValue('calibrate') !== true)
    command.error(`error: option '${given.flags}' is about \`--calibrate\`, which is not given`);
}

function parseDevices(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1 || count > MOST_DEVICES)
    throw new InvalidArgumentError(`expected a whole number from 1 to ${MOST_DEVICES}`);
  return count;
}

function parseName(text: string): string {
  if (!isName(text) || TRUTH_WORDS.has(text))
    throw new InvalidArgumentError('expected a name of the plan language');
  return text;
}
