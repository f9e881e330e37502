/** Which prompts begin alike, for traces: a tree of their tokens, in which every edge is a stretch of some prompt. */

/** The prompt before it, of those in the tree, that a prompt has most in common with, and how many tokens that is. */
export interface LikePrompt {
  readonly like: number;
  readonly prefixTokens: number;
}

export interface PromptTree {
  /** Takes in a prompt and says which of those it knows begins the most like it; undefined where none does. */
  readonly add: (id: number, promptIds: readonly number[]) => LikePrompt | undefined;
}

/** Tokens `from..end` of a prompt, and what follows them in other prompts. */
interface Stretch {
  readonly id: number;
  readonly ids: readonly number[];
  readonly end: number;
  /** By the token they begin with. */
  readonly next: Map<number, Stretch>;
}

/** Tokens of prompts that a tree keeps: some 32 MiB. */
const MOST_TOKENS = 4 * 1024 * 1024;
/** What a prompt takes beside its tokens, as so many more. */
const PROMPT_TOKENS = 64;

/**
 * State: of every token that followed on the same beginning the stretch that brought it first. Step: walk down as far as
 * the prompt agrees; where it leaves a stretch in the middle, cut that in two there; hang on the rest as one stretch.
 *
 * Example: `1 2 3` and then `1 2 4` give the stretch `1 2` with `3` and `4` behind it.
 *
 * @param mostTokens beyond which it forgets all prompts and begins anew, so that a run of any length takes little memory
 */
export function createPromptTree(mostTokens = MOST_TOKENS): PromptTree {
  const roots = new Map<number, Stretch>();
  let kept = 0;
  const keep = (id: number, ids: readonly number[], at: number, next: Map<number, Stretch>): void => {
    next.set(ids[at]!, { id, ids, end: ids.length, next: new Map() });
    kept += ids.length + PROMPT_TOKENS;
  };
  return {
    add(id, ids) {
      let next = roots;
      let at = 0;
      let like: number | undefined;
      while (at < ids.length) {
        const stretch = next.get(ids[at]!);
        if (stretch === undefined) {
          keep(id, ids, at, next);
          break;
        }
        const first = ids[at]!;
        like = stretch.id;
        while (at < Math.min(ids.length, stretch.end) && stretch.ids[at] === ids[at]) at++;
        if (at === stretch.end) {
          next = stretch.next;
          continue;
        }
        const rest = new Map([[stretch.ids[at]!, stretch]]);
        if (at < ids.length) keep(id, ids, at, rest);
        next.set(first, { ...stretch, end: at, next: rest });
        break;
      }
      if (kept > mostTokens) {
        roots.clear();
        kept = 0;
      }
      return like === undefined ? undefined : { like, prefixTokens: at };
    },
  };
}
