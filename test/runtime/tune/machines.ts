/** Machines and workloads on which now this strategy wins and now another: slow or fast links, little or much memory. */
import fc from 'fast-check';
import { once } from '../../../compiler/once.js';
import type { DeviceKind, Plan } from '../../../compiler/plan/plan.js';
import type { SimulatedRequest } from '../../../runtime/clock/simulation.js';
import { makePlan } from '../../compiler/support/make-plan.js';

export interface Machine {
  readonly peerBandwidth: number;
  readonly deviceMemory: number;
  readonly step: number;
  readonly layer: number;
  readonly request: number;
  /** Seconds of handing kernels to one rank; default: none. */
  readonly submit?: number;
  /** What some kernels reach; default: all of it. Where that is less, attention takes rows in tiles. */
  readonly reach?: number;
  readonly pageTokens: number;
  /** Tokens that every layer sees, where they do not see all. */
  readonly window?: number | undefined;
  /** How many times as fast the first and the last device are at computing and in memory; default: as the others. */
  readonly unlike?: { readonly compute: number; readonly bandwidth: number } | undefined;
  /** Bytes of KV in the host tier at most; default: as many as host memory has. */
  readonly hostKv?: number | undefined;
}

/** A machine with room for whatever there is, and a host that takes its time. */
export const ROOMY: Machine = {
  peerBandwidth: 1e9,
  deviceMemory: 1e9,
  pageTokens: 16,
  step: 1e-5,
  layer: 0,
  request: 1e-6,
};

export const machine: fc.Arbitrary<Machine> = fc.record({
  peerBandwidth: fc.constantFrom(1e6, 1e8, 1e11),
  deviceMemory: fc.constantFrom(3.2e6, 6e6, 1e9),
  step: fc.constantFrom(0, 1e-4),
  layer: fc.constantFrom(0, 1e-5),
  request: fc.constantFrom(0, 1e-6),
  submit: fc.constantFrom(0, 1e-5),
  reach: fc.constantFrom(1, 0.3),
  pageTokens: fc.constantFrom(4, 16),
  window: fc.constantFrom(undefined, undefined, 5, 24),
  unlike: fc.constantFrom(
    undefined,
    undefined,
    { compute: 8, bandwidth: 0.125 },
    { compute: 0.25, bandwidth: 0.25 },
  ),
  // Two KiB a token: for 29 and 73 of them.
  hostKv: fc.constantFrom(undefined, undefined, undefined, 6e4, 1.5e5),
});

export const requests: fc.Arbitrary<SimulatedRequest[]> = fc.array(
  fc
    .record({
      promptTokens: fc.integer({ min: 4, max: 60 }),
      outputTokens: fc.integer({ min: 1, max: 30 }),
      name: fc.constantFrom('a', 'b'),
      alike: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 60 })),
    })
    .map(({ name, alike, ...lengths }) => ({
      ...lengths,
      ...(alike > 0 && { prefix: { name, tokens: Math.min(alike, lengths.promptTokens) } }),
    })),
  { minLength: 1, maxLength: 10 },
);

/** A plan over the machine's four devices, to take candidates from. */
export function planOn(machine: Machine): Plan {
  const { peerBandwidth, deviceMemory, step, layer, request, submit = 0, reach = 1, pageTokens } = machine;
  const { window, unlike, hostKv } = machine;
  const sizes = {
    layers: 4,
    hidden: 128,
    heads: 8,
    kvHeads: 4,
    headDim: 16,
    ffn: 256,
    vocab: 128,
    context: 128,
  };
  const sliding = window === undefined ? {} : { sliding: { window, layers: [0, 1, 2, 3] } };
  const plan = makePlan({
    shape: { ...sizes, ...sliding },
    stages: [{ name: 'serve', mesh: { tp: 4 }, microbatchTokens: 64, batchRequests: 8 }],
    peerBandwidth,
    deviceMemory,
    kv: { pageTokens },
  });
  const kernels = { rms_norm: reach, attention: reach, decode_attention: Math.sqrt(reach), sample: reach };
  const kindOf = once((kind: DeviceKind): DeviceKind => ({
    ...kind,
    kernels,
    ...(reach < 1 && { attentionRows: 16 }),
  }));
  const otherOf = once((kind: DeviceKind): DeviceKind => {
    const { compute = 1, bandwidth = 1 } = unlike ?? {};
    const rates = Object.entries(kind.compute).map(([type, rate]) => [type, rate * compute] as const);
    return {
      ...kind,
      name: 'other',
      bandwidth: kind.bandwidth * bandwidth,
      compute: Object.fromEntries(rates),
    };
  });
  const last = plan.topology.devices.length - 1;
  const devices = plan.topology.devices.map((device, place) => {
    const kind = kindOf(device.kind);
    return { ...device, kind: unlike && (place === 0 || place === last) ? otherOf(kind) : kind };
  });
  const overhead = {
    step,
    layer,
    request,
    kernel: 0,
    submit: { 1: submit, 2: 3 * submit },
    read: { 1: submit },
  };
  const tiers = plan.kv.tiers.map((tier) =>
    tier.medium === 'host' && hostKv !== undefined ? { ...tier, cap: hostKv } : tier,
  );
  return { ...plan, kv: { ...plan.kv, tiers }, topology: { ...plan.topology, devices, overhead } };
}
