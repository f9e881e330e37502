/**
 * Answers held to the shape of a JSON text: for every token of an answer, which tokens may come next.
 *
 * A library would be welcome. The one that npm has for Node, @mlc-ai/web-xgrammar 0.1.27, merges states of its automata
 * that are not equal, so it lets 10000 through where 12 to 9999 is asked for; the repair of 2026 is not released there.
 */
import { createHash } from 'node:crypto';
import type { AfterToken, TokenConstraint } from '../sampling/constraint.js';
import type { ByteVocabulary } from '../tokenizer/byte-vocabulary.js';
import type { AnswerShape } from './shape.js';
import { firstState, type TextState } from './text-states.js';
import { sortTokens, stateAfter, tokenMask } from './token-masks.js';

export interface JsonAnswers {
  /**
   * Follows one answer. Where its text may end, `endIds` may come; where no text may follow, it is complete without any.
   * Answers of equal shapes share what was found out about them.
   */
  readonly follow: (shape: AnswerShape, endIds: readonly number[]) => TokenConstraint;
}

/** What is known of a shape: its first state, from which all others are reached, and masks of states. */
interface KnownShape {
  readonly shape: AnswerShape;
  first: TextState;
  readonly masks: Map<TextState, Uint32Array>;
}

/** Shapes that something is known of at once, at most. */
const KNOWN_SHAPES = 32;
/** Masks of one of them, and their bytes. */
const MASKS = 10_000;
const MASK_BYTES = 1 << 24;

/** Answers in the tokens of a vocabulary. */
export function jsonAnswers(vocabulary: ByteVocabulary): JsonAnswers {
  const tokens = sortTokens(vocabulary);
  const known = new Map<string, KnownShape>();
  const knownOf = (shape: AnswerShape): KnownShape => {
    const key = createHash('sha256')
      .update(JSON.stringify([shape.root, [...shape.definitions]]))
      .digest('base64');
    const found = known.get(key) ?? { shape, first: firstState(shape), masks: new Map() };
    // The one used last comes last.
    known.delete(key);
    known.set(key, found);
    if (known.size > KNOWN_SHAPES) known.delete(known.keys().next().value!);
    return found;
  };
  const maskOf = (about: KnownShape, state: TextState): Uint32Array => {
    const { masks } = about;
    const mask = masks.get(state) ?? tokenMask(state, tokens);
    if (masks.size >= Math.min(MASKS, MASK_BYTES / mask.byteLength)) {
      // Answers under way keep the states that they stand at; all others are found anew.
      masks.clear();
      about.first = firstState(about.shape);
    }
    masks.set(state, mask);
    return mask;
  };
  return {
    follow: (shape, endIds) => {
      const about = knownOf(shape);
      let state = about.first;
      const mask = (): Uint32Array => {
        const text = maskOf(about, state);
        if (!state.mayEnd || endIds.length === 0) return text;
        const all = text.slice();
        for (const id of endIds) all[id >>> 5]! |= 1 << (id & 31);
        return all;
      };
      const accept = (id: number): AfterToken => {
        if (state.mayEnd && endIds.includes(id)) return 'complete';
        const reached = isAllowed(maskOf(about, state), id) ? stateAfter(state, vocabulary, id) : undefined;
        if (reached === undefined) return 'stuck';
        state = reached;
        if (maskOf(about, state).some((word) => word !== 0)) return 'open';
        return state.mayEnd ? 'complete' : 'stuck';
      };
      return { mask, accept, dispose: () => undefined };
    },
  };
}

function isAllowed(mask: Uint32Array, id: number): boolean {
  return ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1;
}
