/**
 * What the compiler asks of its surroundings. Everything is a synchronous question with a value for an answer, so
 * that a browser can serve it from memory and a command line from a file system.
 */
export interface CompilerHost {
  /** Text of a plan file by path (as returned by `resolve`), or undefined if there is no such file. */
  readonly readText: (path: string) => string | Unreadable | undefined;
  /** Path of what `specifier` names when written in the file `from`: relative paths only (`std/...` never gets here). */
  readonly resolve: (from: string, specifier: string) => string;
  /** The parsed `config.json` of a model source written in the plan file `from`. */
  readonly readModelConfig: (from: string, source: string) => ModelConfigAnswer;
}

/** Something that is there and has no text. `why` completes the sentence "it ...". */
export interface Unreadable {
  readonly why: string;
}

export type ModelConfigAnswer =
  | {
      readonly kind: 'found';
      readonly path: string;
      readonly json: unknown;
      /** The fields are those of the metadata of the file, which is no `config.json`. */
      readonly inMetadata?: true;
    }
  /** `why` completes the sentence "cannot read the model: ...". */
  | { readonly kind: 'missing'; readonly path: string; readonly why: string; readonly help?: string };

/**
 * The file at `path` in memory: no other file, and no model in a folder. `why` and `help` are what is said to a plan
 * that asks for one.
 */
export function oneFileHost(
  path: string,
  text: string,
  why = 'there are no folders here',
  help?: string,
): CompilerHost {
  return {
    readText: (asked) => (asked === path ? text : undefined),
    resolve: (_from, specifier) => specifier,
    readModelConfig: (_from, source) => {
      return { kind: 'missing', path: source, why, ...(help !== undefined && { help }) };
    },
  };
}
