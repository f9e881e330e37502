/** Which values, weights and KV pages an op of a runtime program reads and writes: the one table of side effects. */
import type { KernelName, RuntimeOp } from './runtime-program.js';

export interface OpAccess {
  /** Value ids. A value that is updated in place is in both lists. */
  readonly reads: readonly number[];
  readonly writes: readonly number[];
  readonly readsKv: boolean;
  readonly writesKv: boolean;
  /** Takes part in an exchange between ranks: such ops keep their order. */
  readonly communicates: boolean;
}

type OpBody = RuntimeOp extends infer Op ? (Op extends RuntimeOp ? Omit<Op, 'id' | 'after'> : never) : never;

/** An op before it has a position and dependencies. */
export type DraftOp = OpBody;

/** For each kernel, which of its value operands (by order among the values) it reads and writes. */
const KERNEL_ACCESS: Readonly<Record<KernelName, { reads: readonly number[]; writes: readonly number[] }>> = {
  embed: { reads: [], writes: [0] },
  rms_norm: { reads: [0], writes: [1] },
  add_rms_norm: { reads: [0, 1], writes: [0, 2] },
  add: { reads: [0, 1], writes: [0] },
  matmul: { reads: [0], writes: [1] },
  rope_append: { reads: [0], writes: [0] },
  attention: { reads: [0], writes: [1] },
  silu_mul: { reads: [0], writes: [1] },
  gelu_mul: { reads: [0], writes: [1] },
  soft_cap: { reads: [0], writes: [0] },
  gather_rows: { reads: [0], writes: [1] },
};

/** What an op touches. Throws when a kernel has fewer values than it needs: verify operands first. */
export function opAccess(op: DraftOp): OpAccess {
  switch (op.op) {
    case 'kernel': {
      const values: number[] = [];
      for (const operand of op.operands) if ('value' in operand) values.push(operand.value);
      const { reads, writes } = KERNEL_ACCESS[op.kernel];
      return {
        reads: picked(values, reads, op.kernel),
        writes: picked(values, writes, op.kernel),
        readsKv: op.kernel === 'attention',
        writesKv: op.kernel === 'rope_append',
        communicates: false,
      };
    }
    case 'collective':
      return exchange([op.value], [op.kind === 'all_reduce' ? op.value : op.out]);
    case 'send':
      return exchange([op.value], []);
    case 'recv':
      return exchange([], [op.value]);
    case 'sample':
      return { reads: [op.logits], writes: [], readsKv: false, writesKv: false, communicates: false };
  }
}

function picked(
  values: readonly number[],
  indices: readonly number[],
  kernel: KernelName,
): readonly number[] {
  const found: number[] = [];
  for (const index of indices) {
    const value = values[index];
    if (value === undefined) throw new Error(`${kernel} has no value operand ${index}`);
    found.push(value);
  }
  return found;
}

function exchange(reads: readonly number[], writes: readonly number[]): OpAccess {
  return { reads, writes, readsKv: false, writesKv: false, communicates: true };
}

/** What ops order each other by. Slots have their own numbers, other resources numbers below 0. */
export const EXCHANGE = -1;
const NO_LAYER = -2;

/** The KV pages of a layer; those that no layer is named for are a resource of their own. */
export function pagesOf(layer: number | undefined): number {
  return layer === undefined ? NO_LAYER : NO_LAYER - 1 - layer;
}

export function resourceName(resource: number): string {
  if (resource >= 0) return `slot ${resource}`;
  if (resource === EXCHANGE) return 'the exchange';
  return `the pages of layer ${resource === NO_LAYER ? undefined : NO_LAYER - 1 - resource}`;
}
