/**
 * A walk through sizes: every mesh is tried with the sizes that its estimate is shortest with, and other sizes around the
 * best alone. Most of the time of a search over all of them goes into showing that each other size of the best, and of
 * what comes close to it, is no better.
 *
 * It is no bound, but a choice of what is looked at: whether other sizes of a mesh that fell behind would have won is not
 * known.
 */
import { once } from '../../compiler/once.js';
import { hostKvBytes, type Candidate, type SizeChoices } from '../../compiler/planner/candidates.js';
import type { SimulatedRequest } from '../clock/simulation.js';
import { meshKeys } from './mesh-key.js';

export type SizeName = keyof SizeChoices;

export const SIZES: readonly SizeName[] = ['microbatchTokens', 'batchRequests', 'hostKvBytes'];

/**
 * Sizes that may well be walked through. Of microbatches the best may be far from that with the shortest rough estimate, and
 * what lies between them no better than either.
 */
export const WALKED: readonly SizeName[] = ['batchRequests', 'hostKvBytes'];

/** Candidates times what a trial of each takes, in requests, below which trying all sizes takes no longer than a second or two. */
const WALK_FROM = 20_000;

/** Steps of decode that take as long as a request, whose rows share theirs with those of others. */
const STEPS_OF_REQUEST = 20;

/** Whether a walk saves anything worth saving. */
export function worthWalking(
  candidates: readonly Candidate[],
  requests: readonly SimulatedRequest[],
): boolean {
  const steps = requests.reduce((most, { outputTokens }) => Math.max(most, outputTokens), 0);
  return candidates.length * (requests.length + steps / STEPS_OF_REQUEST) >= WALK_FROM;
}

interface Sized {
  readonly candidate: Candidate;
}

export interface SizeWalk<Each extends Sized> {
  /** Whether one that is about to be looked at waits, as its mesh is tried with other sizes. */
  readonly holdBack: (each: Each) => boolean;
  /** One that was not held back does not fit, or is the same as one that does not: returns those that waited for it. */
  readonly isOut: (each: Sized) => readonly Each[];
  /**
   * The next that is beside one of the best, with one size the next smaller or larger. It waits no longer. Less KV in the
   * host tier is not looked at: devices would only have to change stage more often.
   */
  readonly beside: (best: readonly Sized[]) => Each | undefined;
  readonly waiting: () => number;
}

/**
 * @param walked sizes that are tried around the best alone; every combination of the others is a mesh of its own
 * @param inOrder of two that may be tried next, which goes first
 */
export function createSizeWalk<Each extends Sized>(
  candidates: readonly Candidate[],
  walked: readonly SizeName[],
  inOrder: (a: Each, b: Each) => number,
): SizeWalk<Each> {
  const meshesOf = meshKeys();
  const places = walked.map((name) => placesOf(candidates, name));
  const named = SIZES.filter((name) => !walked.includes(name));
  // All that wait are asked again at every step.
  const meshOf = once((candidate: Candidate): string =>
    [meshesOf(candidate), ...named.map((name) => sizeOf(candidate, name))].join(),
  );
  const isBeside = ({ candidate: a }: Sized, b: Candidate): boolean => {
    const steps = walked.map(
      (name, i) => places[i]!.get(sizeOf(b, name))! - places[i]!.get(sizeOf(a, name))!,
    );
    if (steps.reduce((sum, each) => sum + Math.abs(each), 0) !== 1 || meshOf(a) !== meshOf(b)) return false;
    return steps[walked.indexOf('hostKvBytes')] !== -1;
  };
  /** By mesh the candidate that is tried for it. */
  const tried = new Map<string, Candidate>();
  const chosen = new Set<Candidate>();
  let waiting: Each[] = [];
  const release = (which: (each: Each) => boolean): readonly Each[] => {
    const released = waiting.filter(which);
    if (released.length > 0) waiting = waiting.filter((each) => !which(each));
    return released;
  };
  return {
    holdBack(each) {
      const { candidate } = each;
      if (walked.length === 0 || chosen.has(candidate)) return false;
      const mesh = meshOf(candidate);
      const other = tried.get(mesh) ?? candidate;
      tried.set(mesh, other);
      if (other === candidate) return false;
      waiting.push(each);
      return true;
    },
    isOut({ candidate }) {
      const mesh = meshOf(candidate);
      if (tried.get(mesh) !== candidate) return [];
      tried.delete(mesh);
      return release((each) => meshOf(each.candidate) === mesh);
    },
    beside(best) {
      const found = waiting.filter(({ candidate }) => best.some((each) => isBeside(each, candidate)));
      const [next] = found.sort(inOrder);
      if (next === undefined) return undefined;
      chosen.add(next.candidate);
      release((each) => each === next);
      return next;
    },
    waiting: () => waiting.length,
  };
}

/** The place of every value among all that there are of a size, in order. */
function placesOf(candidates: readonly Candidate[], name: SizeName): ReadonlyMap<number, number> {
  const values = [...new Set(candidates.map((each) => sizeOf(each, name)))].sort((a, b) => a - b);
  return new Map(values.map((value, place) => [value, place]));
}

function sizeOf({ base, stages }: Candidate, name: SizeName): number {
  if (name === 'microbatchTokens') return stages[0]!.microbatchTokens;
  return name === 'batchRequests' ? stages.at(-1)!.batchRequests : (hostKvBytes(base) ?? 0);
}
