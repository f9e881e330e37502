/**
 * The texts of a shape as a deterministic machine over bytes, made as far as it is walked: a state is the set of places
 * where the text read so far may stand, states with equal sets are one, and each knows where its bytes lead once that was
 * asked. So a walk that others have gone before costs an array access per byte.
 */
import { distinctPlaces, firstPlaces, type Place } from './places.js';
import type { AnswerShape } from './shape.js';

export interface TextState {
  /** The text may end here. */
  readonly mayEnd: boolean;
  /** So many characters may follow whatever they are, if JSON does not escape them. */
  readonly room: number;
  /** Of those characters, more than there is room for may not come. */
  readonly isRoomAll: boolean;
  /** The state behind one more byte; undefined where it may not come. */
  readonly next: (byte: number) => TextState | undefined;
}

/**
 * Places where a text may stand at once. Choices between objects or arrays that begin alike, within each other, double them
 * with every level; a level that would make them more may not come.
 */
const MAX_PLACES = 512;

/** The state of an empty text. */
export function firstState(shape: AnswerShape): TextState {
  const states = new Map<string, TextState>();
  const stateOf = (places: readonly Place[]): TextState => {
    const key = places
      .map((place) => place.key)
      .sort()
      .join('\n');
    const state = states.get(key) ?? createState(places);
    states.set(key, state);
    return state;
  };
  const createState = (places: readonly Place[]): TextState => {
    /** By byte; null where it may not come. */
    const known: (TextState | null | undefined)[] = [];
    return {
      mayEnd: places.some((place) => place.isEnd),
      room: Math.max(0, ...places.map((place) => place.room ?? 0)),
      isRoomAll: places.every((place) => place.room !== undefined),
      next: (byte) => {
        const found = known[byte];
        if (found !== undefined) return found ?? undefined;
        const reached = distinctPlaces(places.flatMap((place) => place.next(byte)));
        const state = reached.length === 0 || reached.length > MAX_PLACES ? undefined : stateOf(reached);
        known[byte] = state ?? null;
        return state;
      },
    };
  };
  return stateOf(firstPlaces(shape));
}
