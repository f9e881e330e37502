/** Fields of a `config.json`, and the metadata of a GGUF file that they are taken from. */
export type Fields = Readonly<Record<string, unknown>>;

/** A value of a file's metadata by its key, behind the name of the architecture; undefined where there is none. */
export type Field = (key: string) => unknown;

/** Those fields that have a value. */
export function givenFields(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
