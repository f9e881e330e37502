/**
 * The Dawn backend: devices of this process over npm `webgpu`. Costs to keep in mind: a submit is about 64 us, a
 * compute pass 21 us, a bind group 20 us, a dispatch with everything cached 4 us, a read 80 us. So `record` makes one
 * submit and as few passes as copies allow, kernels and bindings are built once, and reads are batched.
 *
 * Errors: a refused size, memory running out and a lost device are RuntimeFailures. Anything else that Dawn objects
 * to is a bug of ours; it is reported by rejecting the next `read` or `idle`.
 */
import { RuntimeFailure } from '../failure.js';
import type { BoundKernel, BufferRange, CommandList, Device, DeviceBuffer, DeviceLimits } from './device.js';
import { dawnInstance, defaultProfile, isSoftware, requestAdapter } from './dawn-instance.js';
import type { DeviceProfile } from './dawn-instance.js';
import { napUntil } from './naps.js';
import { buildKernel } from './pipelines.js';
import type { DawnKernel, Pipeline } from './pipelines.js';
import { createTextureScratch, recordRows } from './row-copies.js';
import type { TextureScratch } from './row-copies.js';
import { createStagingPool } from './staging.js';
import type { StagingRange } from './staging.js';
import { watchFaults } from './device-faults.js';

export interface OpenOptions {
  /** Default: `fast`, or `safe` when the environment has FULCRUM_SAFE=1. */
  readonly profile?: DeviceProfile;
  /** Part of the adapter's name, to choose between unlike adapters. */
  readonly adapter?: string;
  /** Names of the devices, for messages; `device 0` ... without. */
  readonly labels?: readonly string[];
}

interface DawnBuffer extends DeviceBuffer {
  readonly gpu: GPUBuffer;
  readonly isSpare: boolean;
}
interface DawnBound extends BoundKernel {
  readonly kernel: DawnKernel;
  readonly group: GPUBindGroup;
}

/** Larger writes cost fresh staging memory in Dawn; chunks of this size reuse it. */
const WRITE_CHUNK = 32 * 1024 * 1024;

const WANTED_FEATURES = ['subgroups', 'subgroup-size-control', 'shader-f16', 'timestamp-query'];

/**
 * Opens `count` devices. All come from the adapter that Dawn prefers. Throws RuntimeFailure FC0901 without one.
 */
export async function openDevices(count: number, options: OpenOptions = {}): Promise<Device[]> {
  const instance = dawnInstance(options.profile ?? defaultProfile(), options.adapter);
  const devices: Device[] = [];
  for (let index = 0; index < count; index++) {
    const label = options.labels?.[index] ?? `device ${index}`;
    devices.push(await openDevice(instance, label));
  }
  return devices;
}

async function openDevice(instance: GPU, label: string): Promise<Device> {
  const adapter = await requestAdapter(instance, label);
  const wanted = WANTED_FEATURES.filter((name) => adapter.features.has(name as GPUFeatureName));
  const { limits } = adapter;
  const device = await adapter.requestDevice({
    label,
    requiredFeatures: wanted as GPUFeatureName[],
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      minStorageBufferOffsetAlignment: limits.minStorageBufferOffsetAlignment,
      maxImmediateSize: limits.maxImmediateSize,
    },
  });
  return wrapDevice(device, label, deviceLimits(device, adapter.info), isSoftware(adapter.info));
}

/**
 * Kernels count on one subgroup size. Where the driver may choose among several and cannot be told which, subgroups
 * are not offered at all.
 */
function deviceLimits(device: GPUDevice, info: GPUAdapterInfo): DeviceLimits {
  const features = new Set<string>(device.features);
  const smallest = info.subgroupMinSize ?? 0;
  const largest = info.subgroupMaxSize ?? 0;
  const known = features.has('subgroups') && smallest > 0 && smallest === largest;
  if (!known) features.delete('subgroups');
  return {
    maxBufferBytes: Math.floor(device.limits.maxBufferSize / 4) * 4,
    maxBindingBytes: Math.floor(device.limits.maxStorageBufferBindingSize / 4) * 4,
    offsetAlignment: device.limits.minStorageBufferOffsetAlignment,
    maxWorkgroupsPerDimension: device.limits.maxComputeWorkgroupsPerDimension,
    subgroupSize: known ? smallest : 0,
    features,
  };
}

function wrapDevice(device: GPUDevice, label: string, limits: DeviceLimits, software: boolean): Device {
  const memory = { live: 0, peak: 0, plannedPeak: 0 };
  let spare = 0;
  const kernels = new Map<string, Promise<DawnKernel>>();
  const pipelines = new Map<string, Promise<Pipeline>>();
  const staging = createStagingPool(device);
  const faults = watchFaults(device, label);
  const waitFor = <T>(work: Promise<T>): Promise<T> => (software ? napUntil(work) : work);
  const settle = <T>(work: Promise<T>): Promise<T> => faults.settle(waitFor(work));
  const grow = (bytes: number): void => {
    memory.live += bytes;
    memory.peak = Math.max(memory.peak, memory.live);
    memory.plannedPeak = Math.max(memory.plannedPeak, memory.live - spare);
  };

  return {
    label,
    limits,
    lost: faults.lost,
    memory,

    createBuffer(bufferLabel, bytes, isSpare = false) {
      const size = Math.max(16, Math.ceil(bytes / 16) * 16);
      if (size > limits.maxBufferBytes) {
        throw new RuntimeFailure(
          'FC0903',
          `Buffer '${bufferLabel}' needs ${size} bytes; ${label} allows ${limits.maxBufferBytes} per buffer.`,
          { subject: label, help: 'Use a larger tp or pp so that each device holds less.' },
        );
      }
      const gpu = device.createBuffer({
        label: bufferLabel,
        size,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
      if (isSpare) spare += size;
      grow(size);
      const buffer: DawnBuffer = { label: bufferLabel, bytes: size, gpu, isSpare };
      return buffer;
    },

    createRowScratch(scratchLabel, bytes) {
      const scratch = createTextureScratch(device, scratchLabel, bytes);
      grow(scratch.bytes);
      return scratch;
    },

    createKernel(source) {
      let kernel = kernels.get(source.key);
      if (kernel === undefined) {
        kernel = waitFor(buildKernel(device, source, pipelines));
        kernels.set(source.key, kernel);
      }
      return kernel;
    },

    bind(kernel, ranges) {
      const dawn = kernel as DawnKernel;
      if (ranges.length !== dawn.bindings) {
        throw new Error(`${kernel.key} has ${dawn.bindings} bindings, ${ranges.length} ranges were given`);
      }
      const entries = ranges.map((range, binding) => ({ binding, resource: resource(range, limits, label) }));
      const group = device.createBindGroup({ label: kernel.key, layout: dawn.layout, entries });
      const bound: DawnBound = { kernel: dawn, group };
      return bound;
    },

    write(buffer, offset, data) {
      if (offset % 4 !== 0 || data.byteLength % 4 !== 0) {
        throw new Error(
          `write of ${data.byteLength} bytes at ${offset} in '${buffer.label}' is not word aligned`,
        );
      }
      const { gpu } = buffer as DawnBuffer;
      for (let at = 0; at < data.byteLength; at += WRITE_CHUNK) {
        const chunk = data.subarray(at, Math.min(at + WRITE_CHUNK, data.byteLength));
        device.queue.writeBuffer(gpu, offset + at, ownBytes(chunk));
        // Flushes, so that the staging memory of one chunk can serve a later one.
        if (data.byteLength > WRITE_CHUNK) device.queue.submit([]);
      }
    },

    record(build) {
      const encoder = device.createCommandEncoder();
      const commands = createRecorder(encoder);
      build(commands);
      if (commands.finish() > 0) device.queue.submit([encoder.finish()]);
    },

    read: (ranges) => settle(staging.read(ranges.map(stagingRange))),

    readThrough(build, ranges, visit) {
      const encoder = device.createCommandEncoder();
      const commands = createRecorder(encoder);
      build(commands);
      commands.finish();
      return settle(staging.readThrough(encoder, ranges.map(stagingRange), visit));
    },

    idle() {
      return settle(device.queue.onSubmittedWorkDone());
    },

    free(allocated) {
      const freed = allocated as DawnBuffer | TextureScratch;
      freed.gpu.destroy();
      if ('isSpare' in freed && freed.isSpare) spare -= freed.bytes;
      memory.live -= freed.bytes;
    },

    destroy() {
      faults.leave();
      staging.destroy();
      device.destroy();
    },
  };
}

function stagingRange(range: {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly bytes: number;
}): StagingRange {
  return { buffer: (range.buffer as DawnBuffer).gpu, offset: range.offset, bytes: range.bytes };
}

/** Encodes commands; `finish` closes the open pass and says how many commands there were. */
function createRecorder(encoder: GPUCommandEncoder): CommandList & { finish(): number } {
  let pass: GPUComputePassEncoder | undefined;
  let pipeline: GPUComputePipeline | undefined;
  let count = 0;
  const endPass = (): void => {
    pass?.end();
    pass = undefined;
    pipeline = undefined;
  };
  return {
    dispatch(bound, immediates, grid) {
      const { kernel, group } = bound as DawnBound;
      if (immediates.length !== kernel.immediates) {
        throw new Error(`${kernel.key} takes ${kernel.immediates} immediates, got ${immediates.length}`);
      }
      if (grid[0] === 0 || grid[1] === 0 || grid[2] === 0) return;
      count++;
      pass ??= encoder.beginComputePass();
      if (pipeline !== kernel.pipeline) {
        pipeline = kernel.pipeline;
        pass.setPipeline(pipeline);
      }
      pass.setBindGroup(0, group);
      if (kernel.words.length > 0) {
        kernel.words.set(immediates);
        pass.setImmediates(0, kernel.words);
      }
      pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    },
    copy(from, fromOffset, to, toOffset, bytes) {
      if (bytes === 0) return;
      endPass();
      count++;
      encoder.copyBufferToBuffer(
        (from as DawnBuffer).gpu,
        fromOffset,
        (to as DawnBuffer).gpu,
        toOffset,
        bytes,
      );
    },
    copyRows({ from, to, ...copy }, scratch) {
      if (copy.rows === 0 || copy.runBytes === 0) return;
      endPass();
      count++;
      recordRows(encoder, (from as DawnBuffer).gpu, (to as DawnBuffer).gpu, copy, scratch as TextureScratch);
    },
    clear(buffer, offset, bytes) {
      if (bytes === 0) return;
      endPass();
      count++;
      encoder.clearBuffer((buffer as DawnBuffer).gpu, offset, bytes);
    },
    finish() {
      endPass();
      return count;
    },
  };
}

function resource(range: BufferRange, limits: DeviceLimits, label: string): GPUBufferBinding {
  const { gpu } = range.buffer as DawnBuffer;
  const offset = range.offset ?? 0;
  const size = range.bytes === undefined ? gpu.size - offset : Math.ceil(range.bytes / 4) * 4;
  if (size > limits.maxBindingBytes) {
    throw new RuntimeFailure(
      'FC0903',
      `Buffer '${range.buffer.label}' has ${size} bytes; ${label} can bind ${limits.maxBindingBytes} at once.`,
      { subject: label, help: 'Use a larger tp, or 16-bit weights, so that each tensor part is smaller.' },
    );
  }
  return { buffer: gpu, offset, size };
}

/** Dawn aborts the process on a view of shared memory, so such bytes are copied. */
function ownBytes(data: Uint8Array): Uint8Array<ArrayBuffer> {
  return data.buffer instanceof ArrayBuffer ? (data as Uint8Array<ArrayBuffer>) : new Uint8Array(data);
}
