/** Requests as a plan file describes them, for simulation and for capacity checks. */
import type { Origin } from '../diagnostics/diagnostic.js';

/** Tokens of a prompt or of an output: all alike, or drawn. */
export type Length =
  | { readonly kind: 'fixed'; readonly tokens: number }
  | { readonly kind: 'uniform'; readonly low: number; readonly high: number }
  | { readonly kind: 'normal' | 'lognormal'; readonly mean: number; readonly deviation: number };

export interface DrawnRequests {
  readonly kind: 'drawn';
  readonly count: number;
  readonly prompt: Length;
  readonly output: Length;
  /** Tokens that all prompts begin with, as far as they are that long. */
  readonly prefix?: number;
}

export interface Workload {
  readonly name: string;
  readonly requests:
    | DrawnRequests
    /** A batch file, as written at `origin`, relative to `base`. */
    | { readonly kind: 'file'; readonly path: string; readonly base: string; readonly origin: Origin };
  readonly origin: Origin;
}

/** Whose lengths are in the plan file: other files are read by those alone who run them. */
export interface DrawnWorkload extends Workload {
  readonly requests: DrawnRequests;
}

export function hasLengths(workload: Workload): workload is DrawnWorkload {
  return workload.requests.kind === 'drawn';
}

/** Tokens that a length typically has; the longest of a bounded one. */
export function typicalLength(length: Length): number {
  return length.kind === 'fixed' ? length.tokens : length.kind === 'uniform' ? length.high : length.mean;
}
