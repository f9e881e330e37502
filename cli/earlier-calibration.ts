/** A calibration that is in a file already: whether another one may take its place, and what of it that keeps. */
import { totalmem } from 'node:os';
import { plainName } from '../compiler/check/evaluate.js';
import { parse } from '../grammar/parse.js';
import type {
  DeviceDecl,
  Expr,
  Property,
  TopologyDecl,
  TopologyMember,
  UnknownItem,
} from '../grammar/syntax.js';
import type { AdapterReport } from '../runtime/device/dawn-instance.js';
import { isCalibrationNote, MEASURED, memoryOf } from './calibration.js';

export interface EarlierCalibration {
  readonly kind: 'calibration';
  readonly name: string;
  readonly devices: number;
  /** As written. */
  readonly memory?: string;
  readonly hostMemory?: string;
}

/** What a text is beside a calibration; `why` completes the sentence "it is there already, ...". */
interface OtherText {
  readonly kind: 'other';
  readonly why: string;
}

const NO_CALIBRATION: OtherText = { kind: 'other', why: 'and is no calibration' };

/** Reads the text of a file as one that `calibratedPlan` made, with no more in it than that and other figures. */
export function readCalibration(text: string): EarlierCalibration | OtherText {
  if (!text.includes(MEASURED)) return NO_CALIBRATION;
  const { file, errors, comments } = parse(text, '');
  if (errors.length > 0) return NO_CALIBRATION;
  const items = file.items.filter(({ kind }) => kind !== 'language');
  const device = items.find((item): item is DeviceDecl => item.kind === 'device');
  const topology = items.find((item): item is TopologyDecl => item.kind === 'topology');
  if (items.length !== 2 || device === undefined || topology === undefined)
    return items.every(({ kind }) => kind === 'device' || kind === 'topology')
      ? { kind: 'other', why: 'and has more than one device and its topology' }
      : NO_CALIBRATION;
  const name = device.name.text;
  if (topology.name.text !== `${name}_machine`)
    return { kind: 'other', why: `and its topology is not called \`${name}_machine\`` };
  const note = comments.find((comment) => !isCalibrationNote(comment.text));
  if (note !== undefined) return { kind: 'other', why: `and has a note of its own, \`${note.text.trim()}\`` };
  const own = [...device.members, ...topology.members].find((member) => !isMeasured(member, name));
  if (own !== undefined) {
    const [first] = text.slice(own.span.start, own.span.end).split('\n');
    return { kind: 'other', why: `and has what no calibration writes, \`${first}\`` };
  }
  const written = (members: readonly (Property | UnknownItem)[], key: string): string | undefined => {
    const value = members.flatMap((each) => (nameOf(each) === key ? (each as Property).value : [])).at(0);
    return value && text.slice(value.span.start, value.span.end);
  };
  const [array] = topology.members.filter((member) => member.kind === 'devices');
  const [tier] = topology.members.filter((member) => member.kind === 'tier');
  const [memory, hostMemory] = [written(device.members, 'memory'), written(tier?.members ?? [], 'capacity')];
  return {
    kind: 'calibration',
    name,
    devices: countOf(array?.count),
    ...(memory !== undefined && { memory }),
    ...(hostMemory !== undefined && { hostMemory }),
  };
}

/** Fields of a device that calibrations write. */
const FIELDS: readonly string[] = [
  ...['memory', 'bandwidth', 'compute', 'sustained', 'gemm', 'kernels'],
  ...['attention_rows', 'largest_binding', 'shared', 'shared_host'],
];

/** What a calibration writes of its device, `name`, or of the topology of that. */
function isMeasured(member: TopologyMember, name: string): boolean {
  switch (member.kind) {
    case 'devices':
      return member.name.text === 'gpu' && isPath(member.device, name);
    case 'tier':
      return member.name.text === 'host' && member.members.every((each) => nameOf(each) === 'capacity');
    case 'link':
      return isPath(member.from, 'gpu') && (isPath(member.to, 'gpu') || isPath(member.to, 'host'));
    case 'overhead':
      return true;
    default:
      return FIELDS.includes(nameOf(member) ?? '');
  }
}

const nameOf = (member: TopologyMember): string | undefined =>
  member.kind === 'property' ? member.name.text : undefined;

const isPath = (expr: Expr, name: string): boolean => plainName(expr)?.text === name;

const countOf = (count: Expr | undefined): number => (count?.kind === 'number' ? count.value : 1);

/** Figures that are none of a measurement, as a hand has set them; those that a calibration wrote are left out. */
export function setByHand(
  { devices, memory, hostMemory }: EarlierCalibration,
  adapter: AdapterReport,
): Partial<Pick<EarlierCalibration, 'memory' | 'hostMemory'>> {
  const own = memoryOf(adapter, devices, totalmem());
  return {
    ...(memory !== undefined && memory !== own.memory && { memory }),
    ...(hostMemory !== undefined && hostMemory !== own.hostMemory && { hostMemory }),
  };
}
