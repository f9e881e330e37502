/** `fulcrum devices`: the adapters found, what they can do, and how fast bytes move. */
import { measureBandwidth, type MeasuredBandwidth } from '../../runtime/device/bandwidth.js';
import { listAdapters, type AdapterReport } from '../../runtime/device/dawn-instance.js';
import { openDevices } from '../../runtime/device/dawn.js';
import { addJsonOption, gpuAction, type AddCommand } from '../command.js';
import { EXIT } from '../exit-codes.js';
import { jsonDocument } from '../json-document.js';
import { err, out } from '../terminal.js';
import { formatBytes, formatTable } from '../format.js';

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
  return `${adapter.description || adapter.device}\n${formatTable(rows).replace(/^/gm, '  ')}`;
}

export const addDevicesCommand: AddCommand = (program, context) => {
  const command = program
    .command('devices')
    .description('show the WebGPU adapters of this machine, their limits and measured bandwidths')
    .option('--no-measure', 'leave out the measurement of bandwidths');
  addJsonOption(command).action(
    gpuAction(context, async (options: { readonly measure: boolean; readonly json?: boolean }) => {
      const { terminal } = context;
      const adapters = await listAdapters();
      let measured: MeasuredBandwidth | undefined;
      if (options.measure && adapters.length > 0) {
        const [device] = await openDevices(1);
        measured = await measureBandwidth(device!);
        device!.destroy();
      }
      if (options.json) out(terminal, jsonDocument('devices', { adapters, measured }));
      else if (adapters.length > 0)
        out(terminal, adapters.map((adapter) => describe(adapter, measured)).join('\n\n'));
      if (adapters.length > 0) return EXIT.ok;
      err(terminal, NO_ADAPTER);
      return EXIT.runtime;
    }),
  );
};
