/**
 * What there is to say of this machine's adapters: what they can do, how fast bytes move, and what the cost model wants
 * to know.
 */
import { readFileSync, statSync } from 'node:fs';
import { totalmem } from 'node:os';
import { measureBandwidth, type MeasuredBandwidth } from '../runtime/device/bandwidth.js';
import { calibrate, FULL_EFFORT, QUICK_EFFORT } from '../runtime/device/calibrate.js';
import { shapesOf, type CalibrationShapes } from '../runtime/device/calibration-shapes.js';
import { listAdapters, type AdapterReport } from '../runtime/device/dawn-instance.js';
import { openDevices } from '../runtime/device/dawn.js';
import { foreignShare, processorSeconds } from '../runtime/device/processor-time.js';
import { RuntimeFailure } from '../runtime/failure.js';
import { refuseTaken } from '../runtime/refuse-taken.js';
import { calibratedPlan, describeCalibration, doubtsOf, importOf, memoryOf } from './calibration.js';
import { devicesToMeasure, type DevicesWanted } from './calibrated-devices.js';
import type { CommandContext } from './command.js';
import { readCalibration, setByHand, type EarlierCalibration } from './earlier-calibration.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { jsonDocument } from './json-document.js';
import { filesRead, loadUncompiled } from './load-plan.js';
import { err, fail, noteFailure, out, type Terminal } from './terminal.js';
import { formatBytes, formatTable, indent, plural } from './format.js';
import { refuseUnwritable, writeText } from './write-text.js';

const NO_ADAPTER = `No WebGPU adapter was found on this machine.

A GPU needs its Vulkan driver (Linux), Direct3D 12 (Windows) or Metal (macOS). Without a GPU, Mesa's software Vulkan
driver 24 or newer serves as one. On Debian and Ubuntu this installs it, or prints the commands to type:

  node scripts/setup.mjs

On other systems install the package of Mesa's Vulkan drivers (Fedora: mesa-vulkan-drivers, Arch: vulkan-swrast).`;

/** Limits that decide which plans fit, with how they are shown. */
const SHOWN_LIMITS: readonly (readonly [name: string, label: string, show: (value: number) => string])[] = [
  ['maxBufferSize', 'largest buffer', formatBytes],
  ['maxStorageBufferBindingSize', 'largest binding', formatBytes],
  ['maxStorageBuffersPerShaderStage', 'storage buffers per kernel', String],
  ['maxComputeWorkgroupStorageSize', 'workgroup memory', formatBytes],
  ['maxComputeInvocationsPerWorkgroup', 'workgroup invocations', String],
];

/** Features that kernels make use of; `--json` has them all. */
const USED_FEATURES: readonly string[] = [
  'shader-f16',
  'subgroups',
  'subgroup-size-control',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
];

function describe(adapter: AdapterReport, measured: MeasuredBandwidth | undefined): string {
  const gigabytes = (value: number): string => `${(value / 1e9).toFixed(1)} GB/s`;
  const [minSubgroup, maxSubgroup] = adapter.subgroupSizes;
  const rows: (readonly [string, string])[] = [
    ['kind', adapter.software ? 'software (runs on the CPU)' : 'GPU'],
    ['vendor', [adapter.vendor, adapter.architecture].filter(Boolean).join(', ')],
    ['subgroups', minSubgroup === maxSubgroup ? String(minSubgroup) : `${minSubgroup} to ${maxSubgroup}`],
    ...SHOWN_LIMITS.flatMap(([name, label, show]): (readonly [string, string])[] => {
      const value = adapter.limits[name];
      return value === undefined ? [] : [[label, show(value)]];
    }),
    ['features', adapter.features.filter((name) => USED_FEATURES.includes(name)).join(', ') || 'none'],
  ];
  if (measured !== undefined) {
    rows.push(
      ['host to device', gigabytes(measured.upload)],
      ['device to host', gigabytes(measured.download)],
      ['copy on the device', gigabytes(measured.copy)],
      ['read round trip', `${(measured.roundTrip * 1e6).toFixed(0)} us`],
    );
  }
  return `${adapter.description || adapter.device}\n${indent(formatTable(rows))}`;
}

interface DevicesOptions {
  readonly measure: boolean;
  readonly calibrate?: boolean;
  readonly devices?: number;
  readonly quick?: boolean;
  readonly like?: string;
  readonly plan?: string;
  readonly name?: string;
  readonly out?: string;
  readonly json?: boolean;
}

/** Shows the adapters, or calibrates as many devices of the first as are asked for. */
export function reportDevices(context: CommandContext, options: DevicesOptions): Promise<ExitCode> {
  return options.calibrate ? calibrateMachine(options, context) : showDevices(options, context);
}

async function showDevices(options: DevicesOptions, { terminal }: CommandContext): Promise<ExitCode> {
  const adapters = await listAdapters();
  let measured: MeasuredBandwidth | undefined;
  if (options.measure && adapters.length > 0) {
    const [device] = await openDevices(1);
    measured = await measureBandwidth(device!);
    device!.destroy();
  }
  if (adapters.length === 0) return refuseWithoutAdapter(terminal);
  if (options.json) out(terminal, jsonDocument('devices', { adapters, measured }));
  else out(terminal, adapters.map((adapter) => describe(adapter, measured)).join('\n\n'));
  return EXIT.ok;
}

/** Says what a machine without adapters lacks. */
function refuseWithoutAdapter(terminal: Terminal): ExitCode {
  err(terminal, NO_ADAPTER);
  noteFailure(terminal, { message: NO_ADAPTER });
  return EXIT.runtime;
}

/** What a plan that is named says of what to measure. */
interface Likeness {
  readonly shapes: Partial<CalibrationShapes>;
  readonly plan?: DevicesWanted['plan'];
}

/** That of the plan that is named, if any is; else how the command ends. */
function chooseLikeness(
  { like, plan: planName, out: file }: DevicesOptions,
  terminal: Terminal,
): Likeness | ExitCode {
  if (like === undefined) {
    if (planName === undefined) return { shapes: {} };
    fail(terminal, '--plan names a plan of the file that --like names, which is not given');
    return EXIT.usage;
  }
  const loaded = loadUncompiled(like, planName === undefined ? {} : { plan: planName }, terminal);
  if (loaded.kind === 'failed') return loaded.exit;
  const { checked, plan } = loaded;
  // What was measured before may be measured anew, also where the plan has it from there.
  const kept = filesRead(checked).filter(
    ({ path }) =>
      path === checked.path || readCalibration(checked.files.get(path) ?? '').kind !== 'calibration',
  );
  refuseTaken([file], kept);
  return { shapes: shapesOf(plan), plan: { name: plan.name, devices: plan.topology.devices.length } };
}

/**
 * The calibration that is in a file. What took a hand to write is not lost to a slip of the name: a calibration takes the
 * place of another one alone, and anything else is FC0940.
 */
function replacedCalibration(file: string | undefined): EarlierCalibration | undefined {
  if (file === undefined || statSync(file, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  const text = readFileSync(file, 'utf8');
  if (text.trim() === '') return undefined;
  const found = readCalibration(text);
  if (found.kind === 'calibration') return found;
  throw new RuntimeFailure('FC0940', `cannot write ${file}: it is there already, ${found.why}`, {
    subject: file,
    help: 'give the calibration a name of its own, and `import` its topology into the plan file',
  });
}

async function calibrateMachine(options: DevicesOptions, { terminal }: CommandContext): Promise<ExitCode> {
  const { devices: named, quick, out: file, json } = options;
  const likeness = chooseLikeness(options, terminal);
  if (typeof likeness === 'number') return likeness;
  const { shapes, plan: like } = likeness;
  refuseUnwritable(file);
  const earlier = replacedCalibration(file);
  const name = options.name ?? earlier?.name ?? 'here';
  const { count, note } = devicesToMeasure({
    ...(named !== undefined && { named }),
    ...(like && { plan: like }),
    ...(earlier && { earlier: earlier.devices }),
  });
  if (note !== undefined) err(terminal, `warning: ${note}`);
  const [adapter] = await listAdapters();
  if (adapter === undefined) return refuseWithoutAdapter(terminal);
  const kept = earlier && setByHand(earlier, adapter);
  if (kept?.memory !== undefined) err(terminal, `memory: ${kept.memory} of ${file} is kept`);
  if (kept?.hostMemory !== undefined) err(terminal, `capacity: ${kept.hostMemory} of ${file} is kept`);
  if (named === undefined && count > 1) err(terminal, `${plural(count, 'device')} are measured`);
  const devices = await openDevices(count);
  try {
    const effort = { ...(quick ? QUICK_EFFORT : FULL_EFFORT), ...shapes };
    const before = processorSeconds();
    const measured = await calibrate(devices, (what) => err(terminal, `measuring ${what}`), effort);
    const sizes = { ...memoryOf(adapter, count, totalmem()), ...kept };
    const plan = calibratedPlan({ name, adapter, measured, ...sizes });
    const foreign = foreignShare(before, processorSeconds());
    err(terminal, `${describeCalibration(measured)}\n`);
    for (const doubt of doubtsOf(measured, foreign)) err(terminal, `warning: ${doubt}`);
    const problem = file === undefined ? undefined : writeText(file, plan);
    if (json) out(terminal, jsonDocument('devices', { adapter, calibration: measured, plan }));
    // What took minutes to measure is not lost with a disk that is full by now.
    else if (file === undefined || problem !== undefined) out(terminal, plan.trimEnd());
    if (problem !== undefined) throw problem;
    if (file !== undefined) err(terminal, `wrote ${file}; \`${importOf(name, file)}\` names the topology`);
    return EXIT.ok;
  } finally {
    for (const device of devices) device.destroy();
  }
}
