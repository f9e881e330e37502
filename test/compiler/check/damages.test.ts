/** A plan with each of its words dropped, doubled or swapped with the next: no fix leads to more errors. */
import { describe, expect, it } from 'vitest';
import type { Diagnostic, Fix } from '../../../compiler/diagnostics/diagnostic.js';
import { lex, spanOf } from '../../../grammar/lex.js';
import { NewLine } from '../../../grammar/tokens.js';
import { mended } from './mended.js';
import { checkText } from './memory-host.js';

/** A plan that is sound and has most of what the language has. */
const PLAN = `language 1
import { l4 as card } from "std/devices"
param b: int = 64 in [32, 64]
device d {
  memory: 24 GB, bandwidth: 300 GB/s
  compute: { f16: 121 TFLOPS, f32: 30 TFLOPS }
  sustained: { compute: 43%, bandwidth: 80% }
}
topology pair {
  node[2] {
    gpu[2]: card
    tier host { capacity: 1 TiB }
    tier nvme { capacity: 1.5 TB, path: "/kv" }
    link gpu <-> gpu { bandwidth: 50 GB/s, allreduce: { 2: 18 GB/s } }
    link gpu <-> host { bandwidth: 50 GB/s, latency: 10 us }
    link host <-> nvme { bandwidth: 2 GB/s }
  }
  link node <-> node { bandwidth: 50 GB/s }
  overhead { step: 5 ms, layer: 30 us }
}
model m {
  layers: 4, hidden: 512, heads: 8, kv_heads: 4, ffn: 1536
  vocab: 1000, context: 2048, weights: f16
}
workload w { requests: b, prompt: normal(620 tokens, 300 tokens), output: 20 tokens }
plan p for m on pair {
  memory_use: 90%
  stage first: prefill on node[0].gpu, node[1].gpu[0..1] { mesh (pp: 4) }
  stage second: decode on node.gpu like first {
    mesh (dp: fill, tp: 2), batch: 2 * 32 requests
    shard heads, ffn on tp
    replicate vocab, split layers on pp [4]
    override layers[0..1].mlp { replicate ffn }
  }
  kv { page: 16 tokens, dtype: f16, tiers: gpu -> host up to 4 GiB -> nvme }
  flow requests -> first -> second -> results {
    to second when host.full or requests.empty
    to first when host.used < 20% and not requests.empty
  }
  expect {
    peak(second, gpu) <= 22 GB, transitions <= 4 for w
    never all_gather of kv in second
  }
}
plan derived from p { memory_use: 80% }
`;

interface Damage {
  readonly what: string;
  readonly text: string;
}

function damages(text: string): readonly Damage[] {
  const words = lex(text)
    .tokens.filter(({ tokenType }) => tokenType !== NewLine)
    .map((token) => ({ word: token.image, ...spanOf(token) }));
  return words.flatMap(({ word, start, end }, i) => {
    const before = text.slice(0, start);
    const behind = text.slice(end);
    const next = words[i + 1];
    const swapped =
      next === undefined
        ? []
        : [
            {
              what: `\`${word}\` swapped with \`${next.word}\``,
              text: before + next.word + text.slice(end, next.start) + word + text.slice(next.end),
            },
          ];
    return [
      { what: `\`${word}\` dropped`, text: before + behind },
      { what: `\`${word}\` doubled`, text: `${before}${word} ${word}${behind}` },
      ...swapped,
    ];
  });
}

/** Fixes that may lead to more errors: they are right, and bring to light what nobody could look at before. */
const UNCOVERING: readonly { readonly code: string; readonly title: RegExp; readonly why: string }[] = [
  { code: 'FC0301', title: /^Change to/, why: 'the value of an unknown property is not read' },
  { code: 'FC0114', title: /^Insert `[<>=]=`/, why: 'what stands behind a missing comparison is not read' },
  { code: 'FC0101', title: /^Insert `->`/, why: 'a path that breaks off is not compared with the stages' },
  {
    code: 'FC0303',
    title: /^Add `requests/,
    why: 'beside the brace too many the other properties are lost too',
  },
];

const isUncovering = ({ code }: Diagnostic, { title }: Fix): boolean =>
  UNCOVERING.some((each) => each.code === code && each.title.test(title));

const known = new Map<string, readonly Diagnostic[]>();

/** What is said of a text; many fixes lead to the same one. */
function saidOf(text: string): readonly Diagnostic[] {
  const said = known.get(text) ?? checkText(text).diagnostics;
  known.set(text, said);
  return said;
}

const errorsIn = (text: string): number => saidOf(text).filter(({ severity }) => severity === 'error').length;

const DAMAGES = damages(PLAN);

/** What each fix of a damage does to the errors. */
const TRIED = DAMAGES.flatMap(({ what, text }) =>
  saidOf(text).flatMap((said) =>
    said.fixes.map((fix) => ({ what, said, fix, more: errorsIn(mended(text, fix)) - errorsIn(text) })),
  ),
);

describe('fixes of damaged plans', () => {
  it('are tried on a plan that is sound, with every word damaged', () => {
    expect(checkText(PLAN).diagnostics).toEqual([]);
    expect(DAMAGES.length).toBeGreaterThan(1000);
    expect(TRIED.length).toBeGreaterThan(500);
  });

  it('lead to no more errors, but where they uncover some', () => {
    const worse = TRIED.filter(({ said, fix, more }) => more > 0 && !isUncovering(said, fix));
    expect(worse.map(({ what, said, fix }) => `${what}: ${said.code} ${fix.title}`)).toEqual([]);
  });

  it.each(UNCOVERING)('of $code uncover some: $why', ({ code, title }) => {
    const worse = TRIED.filter(
      ({ said, fix, more }) => more > 0 && said.code === code && title.test(fix.title),
    );
    expect(worse).not.toEqual([]);
  });
});
