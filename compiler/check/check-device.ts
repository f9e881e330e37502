/** Device declarations. */
import type { DeviceDecl } from '../../grammar/syntax.js';
import { REACHING_KERNELS } from '../cost/kernel-work.js';
import type { DeviceKind } from '../plan/plan.js';
import { readBlock } from './properties.js';
import { fraction, isSize, quantity, recordOf } from './readers.js';
import { at, type Context } from './scope.js';

/** Element types that a device may state a speed for. */
export const SPEEDS = ['f32', 'tf32', 'f16', 'bf16', 'fp8', 'int8', 'int4'];

/** What large kernels reach of the peaks where a device does not say: typical of the devices measured so far. */
const SUSTAINED = { compute: 0.5, bandwidth: 0.8 };

/** More rows than any kernel takes together. */
const MOST_ROWS = 65_536;

const isSeveral = (key: string): boolean => isSize(key) && key !== '1';

/** Properties of a device. */
export const DEVICE_TABLE = {
  memory: { read: quantity('bytes'), required: true },
  bandwidth: { read: quantity('bytes/s'), required: true },
  compute: {
    read: recordOf('f16, f32', (key) => SPEEDS.includes(key), quantity('flop/s'), { filled: true }),
    required: true,
  },
  sustained: { read: recordOf('compute, bandwidth', (key) => Object.hasOwn(SUSTAINED, key), fraction) },
  gemm: { read: recordOf('128, 2048', isSize, fraction) },
  kernels: {
    read: recordOf('rms_norm, attention', (key) => REACHING_KERNELS.some((name) => name === key), fraction),
  },
  attention_rows: { read: quantity('number', { whole: true, min: 1, max: MOST_ROWS }) },
  shared: { read: recordOf('2, 4, 8', isSeveral, fraction) },
  shared_host: { read: recordOf('2, 4, 8', isSeveral, fraction) },
};

/** The device of a declaration, or undefined after reporting why there is none. */
export function checkDevice(decl: DeviceDecl, cx: Context): DeviceKind | undefined {
  const values = readBlock(cx, DEVICE_TABLE, decl.members, 'device', decl.name);
  const [memory, bandwidth, compute] = [values.get('memory'), values.get('bandwidth'), values.get('compute')];
  if (memory === undefined || bandwidth === undefined || !compute || values.failed) return undefined;
  const sustained = values.get('sustained') ?? {};
  const assumed = (['compute', 'bandwidth'] as const).filter((name) => sustained[name] === undefined);
  return {
    name: decl.name.text,
    memory,
    bandwidth,
    compute,
    sustained: {
      compute: sustained['compute'] ?? SUSTAINED.compute,
      bandwidth: sustained['bandwidth'] ?? SUSTAINED.bandwidth,
    },
    ...(values.get('gemm') && { gemm: values.get('gemm')! }),
    ...(values.get('kernels') && { kernels: values.get('kernels')! }),
    ...(values.get('attention_rows') !== undefined && { attentionRows: values.get('attention_rows')! }),
    ...(values.get('shared') && { shared: values.get('shared')! }),
    ...(values.get('shared_host') && { sharedHost: values.get('shared_host')! }),
    ...(assumed.length > 0 && { assumed }),
    origin: at(cx, decl.name),
  };
}
