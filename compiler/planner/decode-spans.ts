/**
 * Lower bounds on the seconds of decode by how long its steps are in flight, however many steps the rows are dealt
 * over: few steps have many rows each and hold their pages long, many have all that a step takes whatever its rows.
 *
 * Of a replica with R rows in S steps, where a step is in flight from its preparation until it has passed all groups:
 * - a group takes its part of all steps, one after the other;
 * - no more than `pp` steps are in flight at once, so that all their times together fit `pp` times into the time there is;
 * - the rows of steps in flight hold their pages: pages times seconds fit into the room as often as that is;
 * - a sequence has one row in flight at most: rows times seconds fit as often as there are sequences that decode, and those
 *   of the longest into the time that there is.
 *
 * The first two are lines that rise with S. A step of r rows takes `a + b r` or more, so that the others come to
 * `a P + b m R² / S` or more, for P pages in all and m of a row at least: squares of numbers with the sum R are R² / S
 * together at the least. These curves fall with S, but for that of the longest, which does not depend on S. The least for any
 * S is where a line and a curve meet.
 *
 *     lines 2 S, curve 18 / S: with 3 steps both are 6, and with any other number one of them is more
 *
 * All of this is convex in rows, pages and steps together, so that it holds for the mean of replicas.
 */
import type { TotalWork } from '../cost/least-cost.js';
import { leastPages } from '../model/kv-window.js';
import type { BoundedPlan } from './bounded-plan.js';
import type { Demand } from './demand.js';
import { rowsOfLongest, sum } from './stage-load.js';

/** Seconds as a line in the number of steps: at the fewest there can be, and for each step more. */
export interface RisingLine {
  readonly atFewest: number;
  readonly perStep: number;
}

/** Seconds that fall with the number of steps: `base + over / steps`. */
export interface FallingCurve {
  readonly base: number;
  readonly over: number;
}

/** What decodes: a stage, its KV pages, and the host that prepares its steps. */
export type Decoding = Pick<BoundedPlan, 'decode' | 'room' | 'overhead'>;

/** Bounds on the seconds of single decode steps, whatever there is to decode. */
export interface DecodeStep {
  /** Seconds of a step of r rows are no less than `fixed + perRow r` of any of these. */
  readonly linear: readonly { readonly fixed: number; readonly perRow: number }[];
  /** Seconds of a step with as many rows as there can be: of the host, and by pipeline stage. */
  readonly full: { readonly preparing: number; readonly groups: readonly number[] };
}

/**
 * The bounds on single decode steps of a stage.
 *
 * @param inStep the most rows that a step has
 */
export function decodeStep(
  { decode, room, overhead: { step, request } }: Decoding,
  demand: Demand,
  inStep: number,
): DecodeStep {
  // A line through two neighbours is below a convex function at all whole numbers.
  const linear = [...new Set([1, inStep])].map((count) => {
    const lines = decode.costs.rowsLines(count, demand.shortestPrompt);
    const perRow = sum(lines.map(({ slope }) => slope));
    return {
      fixed: sum(lines.map(({ at }) => at)) - perRow * count + step,
      perRow: perRow + request,
    };
  });
  return {
    linear,
    full: {
      preparing: step + request * inStep,
      groups: decode.costs.rowsStep(inStep, mostKeys(inStep, room, demand)),
    },
  };
}

/** The most keys that each of `rows` rows sees, in the mean: all of them are in the pages of the replica. */
function mostKeys(rows: number, room: number, { longest, longestPrefix, kv }: Demand): number {
  // Costs count keys that a window has passed, which hold no pages.
  if (kv.window !== undefined || room === 0) return longest;
  return Math.min(longest, longestPrefix + (room * kv.pageTokens) / rows);
}

/**
 * Lower bounds on the seconds that an average replica decodes, by the number of its steps: as at the head of this file.
 */
export interface DecodeSpans {
  /** The fewest steps that the rows can be dealt over. */
  readonly fewestSteps: number;
  /** By pipeline stage: its group runs all steps, one after the other. */
  readonly groups: readonly RisingLine[];
  /** No more than `pp` steps are in flight at once. */
  readonly inFlight: RisingLine;
  /** The rows of steps in flight hold their KV pages. */
  readonly held: readonly FallingCurve[];
  /** A sequence has one row in flight at most. */
  readonly together: readonly FallingCurve[];
}

/**
 * The lower bounds on decode.
 *
 * @param rows decode work of an average replica
 */
export function decodeSpans(
  { decode, room, overhead: { step, request } }: Decoding,
  demand: Demand,
  rows: TotalWork,
  { linear }: DecodeStep,
): DecodeSpans {
  const { decodePages, decoding, shortestPrompt, kv } = demand;
  const { mesh, batchRequests } = decode.stage;
  const { dp, pp } = mesh;
  const { steps: fewestSteps, tokens } = rows;
  const fewer = fewestSteps * BEFORE_FEWEST;
  const groups = decode.costs
    .lines({ ...rows, steps: fewer, sampling: fewer }, rows)
    .map(({ at, slope }): RisingLine => ({ atFewest: at, perStep: slope }));
  const preparing = fewestSteps * step + tokens * request;
  const inFlight = {
    atFewest: (sum(groups.map(({ atFewest }) => atFewest)) + preparing) / pp,
    perStep: (sum(groups.map(({ perStep }) => perStep)) + step) / pp,
  };
  /** @param held by all rows in the mean, and by a row at least, of so many that there are */
  const curves = (held: number, byRow: number, room: number): readonly FallingCurve[] =>
    linear.map(({ fixed, perRow }) => ({
      base: (fixed * held) / room,
      over: (perRow * byRow * tokens * tokens) / room,
    }));
  const aRow = sum(decode.costs.rowsStep(1, shortestPrompt)) + step + request;
  // Engines that share a pipeline have a page and decode a sequence each, if nothing more.
  const atOnce = Math.max(1, Math.min(decoding, Math.max(batchRequests, pp))) / dp;
  return {
    fewestSteps,
    groups,
    inFlight,
    held: room === 0 ? [] : curves(decodePages / dp, leastPages(kv, shortestPrompt), Math.max(room, pp)),
    together: [...curves(tokens, 1, atOnce), { base: rowsOfLongest(demand) * aRow, over: 0 }],
  };
}

/** A line through two values of a convex function is below it beyond them. */
const BEFORE_FEWEST = 1 - 1e-3;

/** The line, raised by some seconds. */
export function later({ atFewest, perStep }: RisingLine, seconds: number): RisingLine {
  return { atFewest: atFewest + seconds, perStep };
}

/** The curve, raised by some seconds. */
export function raised({ base, over }: FallingCurve, seconds: number): FallingCurve {
  return { base: base + seconds, over };
}

/**
 * The least seconds over all numbers of steps, where each number takes as long as the highest of the lines and curves
 * there.
 */
export function leastOfAll(
  fewestSteps: number,
  lines: readonly RisingLine[],
  curves: readonly FallingCurve[],
): number {
  let least = Math.max(...lines.map(({ atFewest }) => atFewest));
  if (fewestSteps === 0) return least;
  for (const { base, over } of curves) {
    const highest = base + over / fewestSteps;
    if (highest <= least) continue;
    if (over === 0) {
      least = base;
      continue;
    }
    for (const { atFewest, perStep } of lines) {
      if (highest <= atFewest) continue;
      if (perStep <= 0) {
        least = Math.max(least, base);
        continue;
      }
      // atFewest + perStep (s - fewestSteps) = base + over / s
      const half = (atFewest - perStep * fewestSteps - base) / 2;
      const root = Math.sqrt(half * half + perStep * over);
      const meeting = half > 0 ? over / (half + root) : (root - half) / perStep;
      least = Math.max(least, base + over / meeting);
    }
  }
  return least;
}
