/** Constraints on which tokens may come next: a bitmap of the vocabulary per token. */

/** Follows one answer and says which tokens may continue it. */
export interface TokenConstraint {
  /** Bit `id % 32` of word `id / 32` is set when the token may come next. Valid until the next call. */
  readonly mask: () => Uint32Array;
  /** Takes the token that came; true when the answer is complete and nothing may follow. */
  readonly accept: (id: number) => boolean;
  /** Frees what the constraint holds outside the heap; it may not be used afterwards. */
  readonly dispose: () => void;
}

/** Allows the same ids everywhere. */
export function allowIds(ids: Iterable<number>, vocab: number): TokenConstraint {
  const words = new Uint32Array(Math.ceil(vocab / 32));
  for (const id of ids) words[id >>> 5]! |= 1 << (id & 31);
  return { mask: () => words, accept: () => false, dispose: () => undefined };
}

/** What both allow; complete as soon as one is. */
export function bothAllow(a: TokenConstraint, b: TokenConstraint): TokenConstraint {
  return {
    mask: () => {
      const other = b.mask();
      return a.mask().map((word, i) => word & other[i]!);
    },
    accept: (id) => {
      const [first, second] = [a.accept(id), b.accept(id)];
      return first || second;
    },
    dispose: () => {
      a.dispose();
      b.dispose();
    },
  };
}
