/** Sources with the expected span between « and ». */
export interface Marked {
  readonly text: string;
  /** Absent when the source has no marks: the diagnostic then has no place. */
  readonly span?: { readonly start: number; readonly end: number };
}

/** Takes the marks out of a source. */
export function unmark(source: string): Marked {
  const start = source.indexOf('«');
  const end = source.indexOf('»');
  if (start < 0) return { text: source };
  return {
    text: source.replace('«', '').replace('»', ''),
    span: { start, end: end - 1 },
  };
}

/** A device, a topology with a host tier, a model and nothing wrong with them. */
export const WORLD = `
device d { memory: 16 GB, bandwidth: 300 GB/s, compute: { f32: 10 TFLOPS } }
topology t {
  gpu[8]: d
  tier host { capacity: 64 GiB }
  link gpu <-> gpu { bandwidth: 10 GB/s }
  link gpu <-> host { bandwidth: 10 GB/s }
}
model m { layers: 8, hidden: 512, heads: 8, kv_heads: 4, ffn: 1536, vocab: 1000, context: 2048, weights: f16 }
`;

/** A plan over {@link WORLD} whose only stage has `body`. */
export const fused = (body: string, rest = ''): string =>
  `${WORLD}plan p for m on t { stage serve: prefill + decode on gpu { ${body} }\n${rest} }`;

/** A plan over {@link WORLD} with two stages that re-shard, and `rest`. */
export const split = (rest: string): string =>
  `${WORLD}plan p for m on t {
  stage prefill on gpu { mesh (pp: 8) }
  stage decode on gpu { mesh (dp: 2, tp: 4) }
  ${rest}
}`;

/** A plan that prefills on one of three nodes and decodes on another. One has no disk, and one no tier at all. */
export const acrossNodes = (prefill: string, decode: string, tiers: string): string =>
  WORLD.replace(
    /topology[^]*?\n}/,
    `topology t {
  big {
    gpu[2]: d
    tier host { capacity: 64 GiB }
    tier nvme { capacity: 1 TB, path: "/kv" }
    link gpu <-> gpu { bandwidth: 10 GB/s }
    link gpu <-> host { bandwidth: 10 GB/s }
    link host <-> nvme { bandwidth: 2 GB/s }
  }
  small {
    gpu[2]: d
    tier host { capacity: 64 GiB }
    link gpu <-> gpu { bandwidth: 10 GB/s }
    link gpu <-> host { bandwidth: 10 GB/s }
  }
  bare { gpu[2]: d, link gpu <-> gpu { bandwidth: 10 GB/s } }
  link big <-> small { bandwidth: 5 GB/s }
}`,
  ) +
  `plan p for m on t {
  stage prefill on ${prefill}.gpu { mesh (pp: 2) }
  stage decode on ${decode}.gpu { mesh (tp: 2) }
  kv { tiers: ${tiers} }
}`;
