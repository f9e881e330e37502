/**
 * The one Dawn instance of this process and the adapters it offers. The object that `create()` returns must stay
 * reachable for as long as any device lives (collected, it takes the process down), so it is kept in this module
 * per profile and never released.
 */
import { create, globals } from 'webgpu';
import { RuntimeFailure } from '../failure.js';

/** `fast` trusts kernels to stay in bounds; `safe` clamps every access and zeroes workgroup memory. */
export type DeviceProfile = 'fast' | 'safe';

/** What `fulcrum devices` shows of an adapter. */
export interface AdapterReport {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** The adapter runs on the CPU (lavapipe, SwiftShader). */
  readonly software: boolean;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  readonly subgroupSizes: readonly [min: number, max: number];
}

const FAST_TOGGLES = [
  'disable_robustness',
  'disable_workgroup_init',
  'disable_polyfills_on_integer_div_and_mod',
];
/** Without these NVIDIA's Vulkan driver offers neither f16 nor subgroup matrices. */
const FEATURE_TOGGLES = ['allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia'];

const instances = new Map<string, GPU>();

/** Profile asked for by `FULCRUM_SAFE=1`, `fast` otherwise. */
export function defaultProfile(): DeviceProfile {
  return process.env['FULCRUM_SAFE'] === '1' ? 'safe' : 'fast';
}

/** The instance of a profile, made on first use; `adapter` is matched against the adapter's name by Dawn. */
export function dawnInstance(profile: DeviceProfile, adapter?: string): GPU {
  const toggles = profile === 'fast' ? [...FEATURE_TOGGLES, ...FAST_TOGGLES] : FEATURE_TOGGLES;
  const options = [
    `enable-dawn-features=${toggles.join(',')}`,
    'disable-dawn-features=timestamp_quantization',
    ...(adapter === undefined ? [] : [`adapter=${adapter}`]),
  ];
  const key = options.join(' ');
  let instance = instances.get(key);
  if (instance === undefined) {
    Object.assign(globalThis, globals);
    instance = create(options);
    instances.set(key, instance);
  }
  return instance;
}

/**
 * An adapter for one device: an adapter is used up by the device made from it.
 * Throws RuntimeFailure FC0901 when there is none.
 */
export async function requestAdapter(instance: GPU, subject?: string): Promise<GPUAdapter> {
  let cause: unknown;
  try {
    const adapter = await instance.requestAdapter({ powerPreference: 'high-performance' });
    if (adapter !== null) return adapter;
  } catch (error) {
    cause = error;
  }
  throw new RuntimeFailure('FC0901', 'No WebGPU adapter was found on this machine.', {
    ...(subject === undefined ? {} : { subject }),
    help:
      'Run `npm run demo` once: its set-up installs a software Vulkan driver where it may, or prints the ' +
      'commands to do so. `fulcrum devices` shows what is found.',
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Whether an adapter runs on the processors of the host. */
export function isSoftware({
  device,
  architecture,
}: Pick<GPUAdapterInfo, 'device' | 'architecture'>): boolean {
  return /llvmpipe|lavapipe|swiftshader|software/i.test(`${device} ${architecture}`);
}

/**
 * Adapters that a plan can run on. Dawn hands out the preferred adapter only, so identical GPUs show up once;
 * empty when there is none.
 */
export async function listAdapters(): Promise<readonly AdapterReport[]> {
  let adapter: GPUAdapter;
  try {
    adapter = await requestAdapter(dawnInstance(defaultProfile()));
  } catch (error) {
    if (error instanceof RuntimeFailure) return [];
    throw error;
  }
  const { info } = adapter;
  return [
    {
      vendor: info.vendor,
      architecture: info.architecture,
      device: info.device,
      description: info.description,
      software: isSoftware(info),
      features: [...adapter.features].sort(),
      limits: numericLimits(adapter.limits),
      subgroupSizes: [info.subgroupMinSize ?? 0, info.subgroupMaxSize ?? 0],
    },
  ];
}

function numericLimits(limits: GPUSupportedLimits): Record<string, number> {
  const report: Record<string, number> = {};
  for (const name in limits) {
    const value = limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') report[name] = value;
  }
  return report;
}
