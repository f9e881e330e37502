/** What a fake executor knows of the requests it was given and the actions it carries out. */
import type { Action } from '../../../runtime/scheduler/types.js';

export interface FakeRequest {
  readonly id: number;
  readonly promptTokens: number;
  readonly maxNewTokens: number;
  /** Tokens after which the sequence ends by itself; the maximum ends it in any case. */
  readonly outputTokens: number;
  /** Of the full pages of the prompt. */
  readonly pageKeys?: readonly string[];
  readonly promptIds?: readonly number[];
}

export interface Track {
  readonly request: FakeRequest;
  generated: number;
  /** Next position the scheduler should ask for. */
  next: number;
  ended: boolean;
  readonly inFlight: Set<number>;
}

export type Step = Extract<Action, { kind: 'step' }>;
export type Move = Extract<Action, { kind: 'page_out' | 'page_in' }>;
export type TierMove = Extract<Action, { kind: 'spill' | 'fetch' }>;
export type Announcement = Extract<Action, { kind: 'prepare' }>;
/** What is carried out: announcements are checked and kept apart. */
export type Work = Exclude<Action, Announcement>;

export function check(holds: boolean, promise: string): void {
  if (!holds) throw new Error(`promise broken: ${promise}`);
}
