/** The workloads that times of two sides are predicted with: their names, how much they ask for, and whether it is the same. */
import { isDeepStrictEqual } from 'node:util';
import type { SimulatedRequest } from '../../runtime/clock/simulation.js';
import { formatCount, plural } from '../format.js';

export interface DiffWorkload {
  readonly name: string;
  /** How many. */
  readonly requests: number;
  /** Of all requests together. */
  readonly promptTokens: number;
  readonly outputTokens: number;
}

export interface WorkloadPair {
  readonly before: DiffWorkload;
  readonly after: DiffWorkload;
  /** All requests are alike, one by one, whatever the workloads are called. */
  readonly sameRequests: boolean;
}

/** The requests of one side, by the name of their workload. */
interface NamedRequests {
  readonly name: string;
  readonly requests: readonly SimulatedRequest[];
}

/** Puts the requests of the two sides beside each other. */
export function pairWorkloads(before: NamedRequests, after: NamedRequests): WorkloadPair {
  return {
    before: sumsOf(before),
    after: sumsOf(after),
    sameRequests: isDeepStrictEqual(before.requests, after.requests),
  };
}

function sumsOf({ name, requests }: NamedRequests): DiffWorkload {
  const total = (tokens: (request: SimulatedRequest) => number): number =>
    requests.reduce((sum, request) => sum + tokens(request), 0);
  return {
    name,
    requests: requests.length,
    promptTokens: total(({ promptTokens }) => promptTokens),
    outputTokens: total(({ outputTokens }) => outputTokens),
  };
}

/** `workload w: 50 requests, 30,000 prompt tokens and 2,500 of output`; of both sides where they differ. */
export function describeWorkloads({ before, after, sameRequests }: WorkloadPair): string {
  if (!sameRequests)
    return `workload ${before.name}: ${amountOf(before)} -> workload ${after.name}: ${amountOf(after)}`;
  const names = before.name === after.name ? before.name : `${before.name} -> ${after.name}`;
  return `workload ${names}: ${before.name === after.name ? '' : 'the same '}${amountOf(before)}`;
}

/** What a reader must know before rates are compared; nothing where both sides are asked for the same. */
export function describeOtherRequests({ before, after, sameRequests }: WorkloadPair): string | undefined {
  if (sameRequests) return undefined;
  const what =
    before.name === after.name
      ? `workload ${after.name} has other requests after`
      : `${after.name} is another workload than ${before.name}`;
  return `${what}: what is predicted changes with the requests too, not with the plan alone`;
}

function amountOf({ requests, promptTokens, outputTokens }: DiffWorkload): string {
  return `${plural(requests, 'request')}, ${plural(promptTokens, 'prompt token')} and ${formatCount(outputTokens)} of output`;
}
