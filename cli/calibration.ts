/** What a calibration measured, as a device and a topology of a plan file. */
import { isAbsolute } from 'node:path';
import { formatExactBytes } from '../compiler/check/units.js';
import { formatPlan } from '../grammar/format.js';
import type { Calibration } from '../runtime/device/calibrate.js';
import type { MeasuredMove } from '../runtime/device/calibration-pages.js';
import type { AdapterReport } from '../runtime/device/dawn-instance.js';
import { ATTENTION_TILE_ROWS } from '../runtime/kernels/kernel.js';
import { formatDuration, formatTable } from './format.js';

export interface CalibratedMachine {
  /** Name of the device and the topology. */
  readonly name: string;
  readonly adapter: AdapterReport;
  readonly measured: Calibration;
  /** Of every device; of the host tier. As they are to be written. */
  readonly memory: string;
  readonly hostMemory: string;
}

/** Speeds of products of so many rows over all shapes: the work of one of each by the time that it takes. */
function gemmByRows({ gemm }: Calibration): ReadonlyMap<number, number> {
  const rows = [...new Set(gemm.map((each) => each.rows))].sort((a, b) => a - b);
  return new Map(
    rows.map((count) => {
      const own = gemm.filter((each) => each.rows === count);
      const work = own.reduce((sum, { n, k }) => sum + n * k, 0);
      return [count, work / own.reduce((sum, { n, k, flops }) => sum + (n * k) / flops, 0)];
    }),
  );
}

const giga = (value: number): string => `${(value / 1e9).toPrecision(3)}`;
const micro = (seconds: number): string => `${Number((seconds * 1e6).toPrecision(3))} us`;
const percent = (fraction: number): string => `${Number((100 * fraction).toPrecision(3))}%`;

/** What a plan file in the working directory writes to have the topology of the file that was written. */
export function importOf(name: string, file: string): string {
  return `import { ${name}_machine } from "${isAbsolute(file) ? file : `./${file}`}"`;
}

/** Begins the description of a device that was measured. */
export const MEASURED = '/// Measured by `fulcrum devices --calibrate`';
/** That description to its end. */
const DESCRIPTION = new RegExp(`^${MEASURED} on .*, on one device( while the others were idle)?\\.$`);

/** What a calibration says beside its figures. */
const NOTES = {
  half: '// WebGPU does not tell the memory of an adapter: half of the host, shared by the devices.',
  unknown: '// WebGPU does not tell the memory of an adapter: set this.',
  bandwidth:
    '// As the fastest kernel reads and writes it; others by what they reach of that and of `sustained` compute.',
  compute:
    '// Matrix products of as many rows as are fastest; others by their rows in `gemm`. Attention is the `sustained` compute.',
  shared: '// What each keeps of that while so many compute, and an exchange of one while the others do.',
  peers: '// Through the host.',
  flat: '// Times hardly grew with bytes, and a bandwidth is that of the most bytes: measure again on an idle machine.',
  host: '// As KV pages move, out and in, and as large writes do.',
  overhead:
    '// Of the host a step, a request, a token and recording a kernel, of the devices a kernel; by ranks runs of kernels beside what these do, and samples.',
} as const;

/** Whether a comment is one that calibrations have. */
export function isCalibrationNote(text: string): boolean {
  const line = text.trimEnd();
  return DESCRIPTION.test(line) || Object.values<string>(NOTES).includes(line);
}

/** A plan file with the device and the topology; `import` it by name. */
export function calibratedPlan({ name, adapter, measured, memory, hostMemory }: CalibratedMachine): string {
  const {
    attention,
    memory: memoryRate,
    shared,
    sharedHost,
    staging,
    pages,
    reach,
    dispatch,
    host: { step, request, choose },
    submits,
    encode,
    reads,
    allReduce,
    allGather,
    send,
    devices,
  } = measured;
  const speeds = gemmByRows(measured);
  const peak = Math.max(...speeds.values());
  const steps = [...speeds].map(([rows, flops]) => `${rows}: ${percent(flops / peak)}`);
  const groups = allReduce.map(({ devices: size, bandwidth }) => `${size}: ${giga(bandwidth)} GB/s`);
  const latenciesOf = (exchanges: Calibration['allReduce']): string =>
    exchanges.map(({ devices: size, latency }) => `${size}: ${micro(latency)}`).join(', ');
  const latency = (pages.out.latency + pages.in.latency) / 2;
  const among = (times: Calibration['reads']): string =>
    times.map(({ devices: size, seconds }) => `${size}: ${micro(seconds)}`).join(', ');
  // A part of `submit` is no more than that.
  const recording = Math.min(encode, ...submits.map(({ seconds }) => seconds));
  const kernels = Object.entries(reach).map(([kernel, part]) => `${kernel}: ${percent(part)}`);
  // More devices on one processor are no faster: what is measured otherwise is noise.
  const keptBy = (measured: Calibration['sharedHost']): readonly string[] =>
    measured.map(({ devices: size }, i) => {
      const part = Math.min(...measured.slice(0, i + 1).map((each) => each.kept));
      return `${size}: ${percent(part)}`;
    });
  const kept = keptBy(shared);
  const sharing =
    kept.length === 0
      ? []
      : [NOTES.shared, `shared: { ${kept.join(', ')} }`, `shared_host: { ${keptBy(sharedHost).join(', ')} }`];
  const largest = adapter.limits['maxStorageBufferBindingSize'];
  const binding = largest === undefined ? [] : [`largest_binding: ${formatExactBytes(largest)}`];
  const source = `${adapter.description || adapter.device || 'a WebGPU adapter'}`.replace(/\s+/g, ' ');
  const peers =
    send === undefined
      ? []
      : [
          NOTES.peers,
          ...flatNote([send, ...allReduce]),
          `link gpu <-> gpu { bandwidth: ${giga(send.bandwidth)} GB/s, latency: ${micro(send.latency)}, allreduce: { ${groups.join(', ')} }, allreduce_latency: { ${latenciesOf(allReduce)} }, allgather_latency: { ${latenciesOf(allGather)} } }`,
        ];
  const text = [
    'language 1',
    '',
    `${MEASURED} on ${source}, on one device${devices === 1 ? '' : ' while the others were idle'}.`,
    `device ${name} {`,
    adapter.software ? NOTES.half : NOTES.unknown,
    `memory: ${memory}`,
    NOTES.bandwidth,
    `bandwidth: ${giga(memoryRate)} GB/s`,
    NOTES.compute,
    `compute: { f32: ${giga(peak)} GFLOPS }`,
    `sustained: { compute: ${percent(Math.min(1, attention / peak))}, bandwidth: 100% }`,
    `gemm: { ${steps.join(', ')} }`,
    `kernels: { ${kernels.join(', ')} }`,
    // A fact of the kernel, not a measurement.
    `attention_rows: ${ATTENTION_TILE_ROWS}`,
    ...binding,
    ...sharing,
    '}',
    '',
    `topology ${name}_machine {`,
    `gpu[${devices}]: ${name}`,
    `tier host { capacity: ${hostMemory} }`,
    ...peers,
    NOTES.host,
    ...flatNote([pages.out, pages.in]),
    `link gpu <-> host { bandwidth: ${giga(pages.out.bandwidth)} GB/s, bandwidth_back: ${giga(pages.in.bandwidth)} GB/s, weights: ${giga(staging.upload)} GB/s, latency: ${micro(latency)} }`,
    NOTES.overhead,
    `overhead { step: ${micro(step)}, request: ${micro(request)}, kernel: ${micro(dispatch)}, submit: { ${among(submits)} }, read: { ${among(reads)} }, choose: ${micro(choose)}, encode: ${micro(recording)} }`,
    '}',
  ].join('\n');
  const formatted = formatPlan(`${text}\n`, `${name}.plan`);
  if (formatted.kind === 'broken')
    throw new Error(`a calibration that cannot be parsed: ${formatted.errors[0]!.code}`);
  return formatted.text;
}

function flatNote(moves: readonly MeasuredMove[]): readonly string[] {
  return moves.some(({ isFlat }) => isFlat) ? [NOTES.flat] : [];
}

/** Part of the processors that other work may have while a machine is measured. */
const BUSY = 0.1;

/** What makes figures of a calibration doubtful, a sentence each. */
export function doubtsOf({ pages, send, allReduce }: Calibration, foreign: number): readonly string[] {
  const moves: readonly (readonly [what: string, move: MeasuredMove | undefined])[] = [
    ['KV pages out', pages.out],
    ['KV pages in', pages.in],
    ...allReduce.map((each) => [`all-reduce of ${each.devices}`, each] as const),
    ['send', send],
  ];
  const flat = moves.filter(([, move]) => move?.isFlat).map(([what]) => what);
  return [
    ...(foreign > BUSY
      ? [
          `other work had ${Math.round(100 * foreign)}% of the processors meanwhile, and the figures are of both; measure again on an idle machine`,
        ]
      : []),
    ...(flat.length === 0
      ? []
      : [`times hardly grew with bytes, and the bandwidth is that of the most bytes: ${flat.join(', ')}`]),
  ];
}

/** What was measured, for people. */
export function describeCalibration(measured: Calibration): string {
  const { gemm, attention, memory, reach, shared, sharedHost, staging, dispatch } = measured;
  const { submits, encode, reads } = measured;
  const { step, request, choose } = measured.host;
  const { allReduce, allGather, send, pages } = measured;
  const rate = (bytes: number): string => `${giga(bytes)} GB/s`;
  const shapes = [...new Set(gemm.map(({ n, k }) => `${n} x ${k}`))];
  const table = formatTable(
    [
      ['GFLOP/s of rows', ...shapes],
      ...[...gemmByRows(measured).keys()].map((rows) => [
        String(rows),
        ...gemm.filter((each) => each.rows === rows).map(({ flops }) => giga(flops)),
      ]),
    ],
    [false, ...shapes.map(() => true)],
  );
  const facts = formatTable([
    ['attention', `${giga(attention)} GFLOP/s`],
    ['device memory', rate(memory)],
    ...Object.entries(reach).map(([kernel, part]) => [kernel, `reaches ${percent(part)}`]),
    ...shared.map(({ devices, kept, least, most }) => [
      `${devices} at once`,
      `each ${percent(kept)} as fast, layers from ${percent(least)} to ${percent(most)}`,
    ]),
    ...sharedHost.map(({ devices, kept }) => [
      `beside ${devices - 1} that compute${devices === 2 ? 's' : ''}`,
      `an exchange ${percent(kept)} as fast`,
    ]),
    ['host to device', rate(staging.upload)],
    ['device to host', rate(staging.download)],
    ['KV pages out', `${formatDuration(pages.out.latency)} + bytes / ${rate(pages.out.bandwidth)}`],
    ['KV pages in', `${formatDuration(pages.in.latency)} + bytes / ${rate(pages.in.bandwidth)}`],
    ['dispatch', formatDuration(dispatch)],
    [
      'host',
      `${formatDuration(step)} a step + ${formatDuration(request)} a request, ${formatDuration(choose)} a token`,
    ],
    ...submits.map((each) => [`submit to ${each.devices}`, formatDuration(each.seconds)]),
    ['recording a kernel', formatDuration(encode)],
    ...reads.map((each) => [`read of ${each.devices}`, formatDuration(each.seconds)]),
    ...allReduce.map(({ devices, latency, bandwidth }) => [
      `all-reduce of ${devices}`,
      `${formatDuration(latency)} + bytes / ${rate(bandwidth)}`,
    ]),
    ...allGather.map(({ devices, latency, bandwidth }) => [
      `all-gather of ${devices}`,
      `${formatDuration(latency)} + bytes / ${rate(bandwidth)}`,
    ]),
    ...(send === undefined
      ? []
      : [['send', `${formatDuration(send.latency)} + bytes / ${rate(send.bandwidth)}`]]),
  ]);
  return `${table}\n\n${facts}`;
}

/** Memory of every one of so many devices, and for the host tier, on a machine with so much host memory. */
export function memoryOf(
  adapter: AdapterReport,
  devices: number,
  hostTotal: number,
): Pick<CalibratedMachine, 'memory' | 'hostMemory'> {
  const buffer = adapter.limits['maxBufferSize'] ?? 2 ** 30;
  const memory = adapter.software ? hostTotal / 2 / devices : buffer;
  const text = (bytes: number): string => `${Math.floor(bytes / 2 ** 20)} MiB`;
  return { memory: text(memory), hostMemory: text(hostTotal / 4) };
}
