/**
 * Copies of pages on a device, for sequences that go on in a page after the same first tokens as another. By a kernel, as
 * a buffer cannot be copied to itself, and without memory of its own.
 */
import type { CommandList, Device, DeviceKernel, KernelSource } from '../device/device.js';
import { ceilDiv, defineKernel, readWrite } from '../kernels/wgsl.js';
import type { PageGroup } from './page-group.js';

const UNIT_BYTES = 4;
const THREADS = 64;
const UNITS_PER_THREAD = 16;
const GROUP_UNITS = THREADS * UNITS_PER_THREAD;

/** Over runs of `GROUP_UNITS` units of a page. */
function copyKernel(): KernelSource {
  return defineKernel({
    name: 'copy_page',
    bindings: [readWrite('held', 'u32')],
    immediates: ['units', 'theirs', 'own'],
    constants: [],
    workgroup: [THREADS, 1, 1],
    grid: () => [1, 1, 1],
    body: `
  let end = min((wg.x + 1u) * ${GROUP_UNITS}u, im.units);
  for (var unit = wg.x * ${GROUP_UNITS}u + local.x; unit < end; unit += ${THREADS}u) {
    held[im.own * im.units + unit] = held[im.theirs * im.units + unit];
  }`,
  });
}

/** Compiles the kernel for all pages of a device. */
export function openPageCopies(device: Device): Promise<DeviceKernel> {
  return device.createKernel(copyKernel());
}

/** Records the copy of a page to another, in all layer groups. */
export type CopyPage = (commands: CommandList, from: number, to: number) => void;

export function createCopyPage(device: Device, kernel: DeviceKernel, groups: readonly PageGroup[]): CopyPage {
  const bound = groups.map(({ buffer, pageBytes }) => ({
    units: pageBytes / UNIT_BYTES,
    copy: device.bind(kernel, [{ buffer }]),
  }));
  return (commands, from, to) => {
    for (const { units, copy } of bound)
      commands.dispatch(copy, Uint32Array.of(units, from, to), [ceilDiv(units, GROUP_UNITS), 1, 1]);
  };
}
