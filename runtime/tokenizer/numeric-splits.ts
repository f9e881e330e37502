/**
 * `Digits` of a tokenizer.json is every number of Unicode (¼, ٣, Ⅻ), which the tokenizer library takes for 0 to 9: here it
 * becomes the split by pattern that it is defined as.
 */
type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A tokenizer.json with its `Digits` put as patterns. */
export function withNumericSplits(json: Json): Json {
  return { ...json, pre_tokenizer: spelled(json['pre_tokenizer']) };
}

function spelled(splitting: unknown): unknown {
  if (!isObject(splitting)) return splitting;
  if (splitting['type'] === 'Digits') {
    const Regex = splitting['individual_digits'] === true ? '\\p{N}' : '\\p{N}+';
    return { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false };
  }
  const { pretokenizers } = splitting;
  return Array.isArray(pretokenizers)
    ? { ...splitting, pretokenizers: pretokenizers.map(spelled) }
    : splitting;
}
