/** Device declarations. */
import type { DeviceDecl } from '../../grammar/syntax.js';
import { REACHING_KERNELS } from '../cost/kernel-work.js';
import type { DeviceKind } from '../plan/plan.js';
import { report } from '../diagnostics/catalogue.js';
import { readBlock, type Values } from './properties.js';
import { fraction, quantity, recordOf, SEVERAL, SIZES } from './readers.js';
import { at, type Context } from './scope.js';
import { formatQuantity } from './units.js';

/** Element types that a device may state a speed for. */
export const SPEEDS = ['f32', 'tf32', 'f16', 'bf16', 'fp8', 'int8', 'int4'];

/** What large kernels reach of the peaks where a device does not say: typical of the devices measured so far. */
const SUSTAINED = { compute: 0.5, bandwidth: 0.8 };

/** More rows than any kernel takes together. */
const MOST_ROWS = 65_536;

/** Properties of a device. */
export const DEVICE_TABLE = {
  memory: { read: quantity('bytes'), required: true },
  bandwidth: { read: quantity('bytes/s'), required: true },
  compute: { read: recordOf(SPEEDS, quantity('flop/s')), required: true },
  sustained: { read: recordOf(Object.keys(SUSTAINED), fraction) },
  gemm: { read: recordOf(SIZES, fraction) },
  kernels: {
    read: recordOf(REACHING_KERNELS, fraction),
  },
  attention_rows: { read: quantity('number', { whole: true, min: 1, max: MOST_ROWS }) },
  largest_binding: { read: quantity('bytes', { min: 4 }) },
  shared: { read: recordOf(SEVERAL, fraction) },
  shared_host: { read: recordOf(SEVERAL, fraction) },
};

interface Rising {
  readonly size: number;
  readonly fraction: number;
  readonly of: number;
  readonly least: number;
}

/** The first size that keeps more than a smaller one does: more devices on one processor are no faster. */
function risingIn(shared: Readonly<Record<string, number>>): Rising | undefined {
  const sizes = Object.keys(shared)
    .map(Number)
    .sort((a, b) => a - b);
  const at = sizes.findIndex((size, i) => i > 0 && shared[size]! > shared[sizes[i - 1]!]!);
  if (at < 0) return undefined;
  const [of, size] = [sizes[at - 1]!, sizes[at]!];
  return { size, fraction: shared[size]!, of, least: shared[of]! };
}

/** Reports figures that rise with the devices at work, which nothing that they share does. */
function reportRising(values: Values<typeof DEVICE_TABLE>, cx: Context): boolean {
  return (['shared', 'shared_host'] as const).some((property) => {
    const rising = risingIn(values.get(property) ?? {});
    if (rising === undefined) return false;
    const { size, fraction, of, least } = rising;
    const must = `no more than the ${formatQuantity(least, 'fraction')} that each of ${of} keeps`;
    const facts = {
      what: `\`${size}\` of \`${property}\``,
      value: formatQuantity(fraction, 'fraction'),
      must,
    };
    cx.report(report('out-of-range', facts, { primary: values.origin(property)! }));
    return true;
  });
}

/** Reports a `shared_host` of devices that share no processor, which would count for nothing. */
function reportHostAlone(values: Values<typeof DEVICE_TABLE>, name: string, cx: Context): boolean {
  const primary = values.origin('shared_host');
  if (primary === undefined || values.origin('shared') !== undefined) return false;
  const facts = { property: 'shared', block: 'device', name };
  const helps = ['`shared_host` is of devices that are one processor, which `shared` says'];
  cx.report(report('missing-property', facts, { primary, helps }));
  return true;
}

/** The device of a declaration, or undefined after reporting why there is none. */
export function checkDevice(decl: DeviceDecl, cx: Context): DeviceKind | undefined {
  const values = readBlock(cx, DEVICE_TABLE, decl.members, 'device', decl.name);
  const [memory, bandwidth, compute] = [values.get('memory'), values.get('bandwidth'), values.get('compute')];
  if (memory === undefined || bandwidth === undefined || !compute || values.failed) return undefined;
  if (reportRising(values, cx) || reportHostAlone(values, decl.name.text, cx)) return undefined;
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
    ...(values.get('largest_binding') !== undefined && { largestBinding: values.get('largest_binding')! }),
    ...(values.get('shared') && { shared: values.get('shared')! }),
    ...(values.get('shared_host') && { sharedHost: values.get('shared_host')! }),
    ...(assumed.length > 0 && { assumed }),
    origin: at(cx, decl.name),
    propertyOrigins: values.origins,
  };
}
