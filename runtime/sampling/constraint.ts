/** Constraints on which tokens may come next: a bitmap of the vocabulary per token. */

/**
 * How an answer stands with its latest token: more may follow; it is complete and nothing may; or it is `stuck`: the token
 * may not come, because none may that the model has.
 */
export type AfterToken = 'open' | 'complete' | 'stuck';

/** Follows one answer and says which tokens may continue it. */
export interface TokenConstraint {
  /** Bit `id % 32` of word `id / 32` is set when the token may come next. Valid until the next call. */
  readonly mask: () => Uint32Array;
  /** Takes the token that came. */
  readonly accept: (id: number) => AfterToken;
  /** Frees what the constraint holds outside the heap; it may not be used afterwards. */
  readonly dispose: () => void;
}

/** Allows the same ids everywhere. */
export function allowIds(ids: Iterable<number>, vocab: number): TokenConstraint {
  const words = new Uint32Array(Math.ceil(vocab / 32));
  for (const id of ids) words[id >>> 5]! |= 1 << (id & 31);
  const accept = (id: number): AfterToken =>
    ((words[id >>> 5]! >>> (id & 31)) & 1) === 1 ? 'open' : 'stuck';
  return { mask: () => words, accept, dispose: () => undefined };
}

/** What both allow; stuck or complete as soon as one is. */
export function bothAllow(a: TokenConstraint, b: TokenConstraint): TokenConstraint {
  return {
    mask: () => {
      const other = b.mask();
      return a.mask().map((word, i) => word & other[i]!);
    },
    accept: (id) => {
      const after = [a.accept(id), b.accept(id)];
      return after.find((one) => one === 'stuck') ?? after.find((one) => one === 'complete') ?? 'open';
    },
    dispose: () => {
      a.dispose();
      b.dispose();
    },
  };
}
