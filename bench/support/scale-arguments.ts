/** The arguments of the benchmark of how things grow with devices. */
import { countAsked, inPlaces, pickNamed } from './arguments.js';

const KINDS = ['fused', 're-sharded', 'disaggregated'] as const;

export type Kind = (typeof KINDS)[number];

/** Devices of a node. Disjoint halves need two nodes. */
const LEAST: Readonly<Record<Kind, number>> = { fused: 8, 're-sharded': 8, disaggregated: 16 };

export interface ScaleArguments {
  readonly requests: number;
  /** How many devices each kind of plan is tried on. */
  readonly sizes: readonly { readonly kind: Kind; readonly devices: readonly number[] }[];
}

/** The arguments, or what is wrong with them. */
export function scaleArguments(args: readonly string[]): ScaleArguments | string {
  const placed = inPlaces(args, 4);
  if (typeof placed === 'string') return placed;
  const [mostText = '4096', requestsText = '10000', kind, leastText = '8'] = placed;
  const most = countAsked('most devices', mostText);
  if (typeof most === 'string') return most;
  const requests = countAsked('requests', requestsText);
  if (typeof requests === 'string') return requests;
  const kinds = pickNamed('kind', KINDS, kind === undefined ? [] : [kind]);
  if (typeof kinds === 'string') return kinds;
  const least = countAsked('least devices', leastText);
  if (typeof least === 'string') return least;
  if (!Number.isInteger(Math.log2(least / 8)))
    return `least devices wants 8, 16, 32 or more so, not \`${leastText}\``;
  const sizes = kinds.map((each) => ({ kind: each, devices: doubled(Math.max(least, LEAST[each]), most) }));
  if (sizes.every(({ devices }) => devices.length === 0))
    return `no plan is between ${least} and ${most} devices`;
  return { requests, sizes };
}

/** From the one on, twice as many each time, no more than the other. */
function doubled(first: number, most: number): readonly number[] {
  return first > most ? [] : [first, ...doubled(2 * first, most)];
}
