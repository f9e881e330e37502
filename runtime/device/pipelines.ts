/**
 * From WGSL to pipelines: one pipeline per text and device, one driver compilation per text and process.
 */
import type { DeviceKernel, KernelSource } from './device.js';

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export interface DawnKernel extends DeviceKernel, Pipeline {
  readonly bindings: number;
  readonly immediates: number;
  /** Immediates with the kernel's constants already at their place. */
  readonly words: Uint32Array<ArrayBuffer>;
}
/**
 * Makes a kernel of a source; kernels with the same text share a pipeline through `pipelines`, one map per device.
 * Rejects with the WGSL diagnostics.
 */
export async function buildKernel(
  device: GPUDevice,
  source: KernelSource,
  pipelines: Map<string, Promise<Pipeline>>,
): Promise<DawnKernel> {
  const constants = source.constants ?? [];
  const words = new Uint32Array(source.immediates + constants.length);
  words.set(constants, source.immediates);
  let pipeline = pipelines.get(source.wgsl);
  if (pipeline === undefined) {
    pipeline = buildPipeline(device, source, words.byteLength);
    pipelines.set(source.wgsl, pipeline);
  }
  return {
    key: source.key,
    ...(await pipeline),
    bindings: source.bindings.length,
    immediates: source.immediates,
    words,
  };
}

/** Kernel texts that a device of this process compiles or has compiled. */
const compiled = new Map<string, Promise<unknown>>();

/**
 * Software drivers compile on the first dispatch, for up to seconds, and keep the result in a cache on disk. So the
 * first device of the process to need a text runs it over no rows, and other devices wait for that before they ask:
 * the driver then compiles once, and no step pays for it.
 */
async function buildPipeline(
  device: GPUDevice,
  source: KernelSource,
  immediateSize: number,
): Promise<Pipeline> {
  const first = compiled.get(source.wgsl);
  if (first !== undefined) {
    await first;
    return compile(device, source, immediateSize);
  }
  const built = compile(device, source, immediateSize).then(async (kernel) => {
    await runOverNoRows(device, kernel, source, immediateSize);
    return kernel;
  });
  compiled.set(
    source.wgsl,
    built.catch(() => compiled.delete(source.wgsl)),
  );
  return built;
}

async function runOverNoRows(
  device: GPUDevice,
  { pipeline, layout }: Pipeline,
  source: KernelSource,
  immediateSize: number,
): Promise<void> {
  const buffers = source.bindings.map(() =>
    device.createBuffer({ size: 256, usage: GPUBufferUsage.STORAGE }),
  );
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
  if (immediateSize > 0) pass.setImmediates(0, new Uint8Array(immediateSize));
  pass.dispatchWorkgroups(1);
  pass.end();
  device.queue.submit([encoder.finish()]);
  await device.queue.onSubmittedWorkDone();
  for (const buffer of buffers) buffer.destroy();
}

async function compile(device: GPUDevice, source: KernelSource, immediateSize: number): Promise<Pipeline> {
  const layout = device.createBindGroupLayout({
    label: source.key,
    entries: source.bindings.map((access, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
    })),
  });
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ label: source.key, code: source.wgsl });
  const scope = device.popErrorScope();
  const { messages } = await module.getCompilationInfo();
  const errors = messages.filter((message) => message.type === 'error');
  const moduleError = await scope;
  if (errors.length > 0 || moduleError !== null) {
    const lines = errors.map((message) => `${message.lineNum}:${message.linePos} ${message.message}`);
    throw new Error(`Kernel ${source.key} does not compile:\n${lines.join('\n') || moduleError?.message}`);
  }
  const pipeline = await device.createComputePipelineAsync({
    label: source.key,
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout], immediateSize }),
    compute: { module, entryPoint: 'main' },
  });
  return { pipeline, layout };
}
