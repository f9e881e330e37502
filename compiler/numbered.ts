/** Numbers values in the order in which they are first met; objects by which they are, and not by what is in them. */
export function numbered<Value>(): (value: Value) => number {
  const ids = new Map<Value, number>();
  return (value) => {
    const id = ids.get(value) ?? ids.size;
    ids.set(value, id);
    return id;
  };
}
