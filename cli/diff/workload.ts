/** The workloads that times of two sides are predicted with: their names, how much they ask for, and whether it is the same. */
import { isDeepStrictEqual } from 'node:util';
import type { SimulatedRequest } from '../../runtime/clock/simulation.js';
import { formatCount, plural } from '../format.js';

/** What a workload asks for. */
export interface DiffWorkload {
  readonly name: string;
  /** Number of requests. */
  readonly requests: number;
  /** Prompt tokens of all requests together. */
  readonly promptTokens: number;
  /** Output tokens of all requests together. */
  readonly outputTokens: number;
  /** Prompt tokens that requests may share with others. */
  readonly prefixTokens: number;
}

/** The workloads of two sides. */
export interface WorkloadPair {
  readonly before: DiffWorkload;
  readonly after: DiffWorkload;
  /** All requests are alike, one by one, whatever the workloads are called. */
  readonly sameRequests: boolean;
  /** In what requests differ, one by one; where they are not as many, in their number. */
  readonly differIn: readonly Difference[];
}

type RequestPart = 'prompt lengths' | 'output lengths' | 'prefixes';

type Difference = RequestPart | 'number';

const PARTS: Readonly<Record<RequestPart, (request: SimulatedRequest) => unknown>> = {
  'prompt lengths': ({ promptTokens }) => promptTokens,
  'output lengths': ({ outputTokens }) => outputTokens,
  prefixes: ({ prefix, like }) => [prefix, like],
};

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
    differIn: differences(before.requests, after.requests),
  };
}

function differences(
  before: readonly SimulatedRequest[],
  after: readonly SimulatedRequest[],
): readonly Difference[] {
  if (before.length !== after.length) return ['number'];
  return (Object.keys(PARTS) as RequestPart[]).filter(
    (part) => !isDeepStrictEqual(before.map(PARTS[part]), after.map(PARTS[part])),
  );
}

function sumsOf({ name, requests }: NamedRequests): DiffWorkload {
  const total = (tokens: (request: SimulatedRequest) => number): number =>
    requests.reduce((sum, request) => sum + tokens(request), 0);
  return {
    name,
    requests: requests.length,
    promptTokens: total(({ promptTokens }) => promptTokens),
    outputTokens: total(({ outputTokens }) => outputTokens),
    prefixTokens: total(({ prefix, like }) => prefix?.tokens ?? like?.tokens ?? 0),
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
export function describeOtherRequests({
  before,
  after,
  sameRequests,
  differIn,
}: WorkloadPair): string | undefined {
  if (sameRequests) return undefined;
  const parts = differIn.length === 0 ? '' : `, in ${differIn.join(' and ')}`;
  const what =
    before.name === after.name
      ? `workload ${after.name} has other requests after${parts}`
      : `${after.name} is another workload than ${before.name}${parts}`;
  return `${what}: what is predicted changes with the requests too, not with the plan alone`;
}

function amountOf({ requests, promptTokens, outputTokens, prefixTokens }: DiffWorkload): string {
  const prefixes = prefixTokens === 0 ? '' : `, ${formatCount(prefixTokens)} of them in prefixes,`;
  return `${plural(requests, 'request')}, ${plural(promptTokens, 'prompt token')}${prefixes} and ${formatCount(outputTokens)} of output`;
}
