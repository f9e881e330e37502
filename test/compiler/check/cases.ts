/** For every row of the catalogue a source that provokes it, the place to change between « and ». */
import type { Case } from './case.js';
import { acrossNodes, fused, split, WORLD } from './marked.js';
import { PROPERTY_CASES } from './property-cases.js';

const WORKLOAD = 'workload w { requests: 8, prompt: 100 tokens, output: 10 tokens }';

export const CASES: readonly Case[] = [
  // ---------------------------------------------------------------- names and imports
  { slug: 'unknown-name', source: `topology t { gpu[2]: «l40» }\ndevice l4 { }`, says: 'did you mean `l4`?' },
  { slug: 'unknown-name', source: fused('mesh (tp: «wide»)'), says: 'no param called `wide`' },
  { slug: 'unknown-name', source: split('expect { peak(«decod», gpu) <= 1 GB }'), says: '`decode`' },
  { slug: 'duplicate-name', source: `param a: int = 1\nparam «a»: int = 2` },
  { slug: 'duplicate-name', source: `${WORLD}topology u { gpu: d\n tier «gpu» { capacity: 1 GB } }` },
  { slug: 'unknown-module', source: `import { l4 } from «"std/device"»`, says: '"std/devices"' },
  { slug: 'unknown-module', source: `import { l4 } from «"./x.plan"»`, says: 'looked for x.plan' },
  {
    slug: 'unknown-module',
    source: `import { d } from «"./x"»`,
    files: { 'x.plan': 'device d { }' },
    says: 'did you mean "./x.plan"?',
  },
  { slug: 'not-declared-there', source: `import { «h20» } from "std/devices"`, says: '`h200`' },
  {
    slug: 'import-cycle',
    source: `import { a } from "./b.plan"`,
    files: { 'b.plan': `import { x } from "main.plan"` },
    says: 'main.plan -> b.plan -> main.plan',
  },
  { slug: 'wrong-kind', source: `device d { }\nplan p for «d» on t { }`, says: 'a model is needed' },
  { slug: 'plan-cycle', source: `plan a from «b» { }\nplan b from a { }`, says: 'a from b from a' },
  { slug: 'unknown-edition', source: `language «7»` },
  { slug: 'unknown-plan', source: fused('mesh (tp: 4, dp: 2)'), plan: 'q', says: 'no plan called `q`' },
  { slug: 'unreadable-file', source: '', files: {}, says: 'cannot read' },

  ...PROPERTY_CASES,

  // ---------------------------------------------------------------- topology and placement
  { slug: 'unknown-place', source: fused('mesh (dp: 8)').replace('on gpu', 'on «gpus»'), says: '`gpu`' },
  {
    slug: 'unknown-place',
    source: `${WORLD}topology u { gpu[2]: d\n link gpu <-> «hots» { bandwidth: 1 GB/s } }`,
  },
  {
    slug: 'unknown-place',
    source: `${WORLD}topology u { node[2] { gpu[2]: d } }
      plan p for m on u { stage serve: prefill + decode on «gpu» { mesh (dp: 4) } }`,
    says: 'did you mean `node.gpu`?',
  },
  {
    slug: 'unknown-place',
    source: split('expect { peak(decode, «gup[1]») <= 1 GB }'),
    says: 'did you mean `gpu[1]`?',
  },
  { slug: 'index-out-of-range', source: split('expect { peak(decode, gpu«[0..99]») <= 1 GB }') },
  {
    slug: 'not-a-device',
    source: split('expect { peak(decode, «host») <= 1 GB }'),
    says: 'devices are needed',
  },
  { slug: 'out-of-range', source: fused('mesh (dp: 4)').replace('on gpu', 'on gpu[«0.3»]'), says: '`0..3`' },
  { slug: 'out-of-range', source: fused('mesh (dp: 4)').replace('on gpu', 'on gpu[«0-3»]'), says: '`0..3`' },
  // A whole number of a device that is not there.
  { slug: 'index-out-of-range', source: fused('mesh (dp: 4)').replace('on gpu', 'on gpu«[9.0]»') },
  { slug: 'index-out-of-range', source: fused('mesh (dp: 8)').replace('on gpu', 'on gpu«[4..8]»') },
  { slug: 'no-devices', source: `topology «t» { tier host { capacity: 1 GB } }` },
  {
    slug: 'no-route',
    source: fused('mesh («tp: 2», dp: 4)').replace(/link gpu.*/g, ''),
    says: 'declare `link gpu <-> gpu',
  },
  {
    slug: 'no-route',
    source: fused('mesh («tp: 2», dp: 4)').replace(/link gpu.*/g, ''),
    says: 'there is no route from `gpu[0]` to `gpu[1]` for the sum over `tp` of stage `serve`',
  },
  {
    slug: 'mesh-size',
    source: fused('mesh «(pp: 2)»').replace('gpu[8]: d', 'gpu: d'),
    says: '(tp: 1) fits 1 device',
  },
  {
    slug: 'mesh-size',
    source: fused('mesh «(pp: 2, tp: 2)»'),
    says: '(pp: 8), (pp: 4, tp: 2), (pp: 2, tp: 4) fit 8',
  },
  {
    slug: 'fill-not-whole',
    source: fused('mesh «(dp: fill, tp: 3)»'),
    says: '8 devices cannot be shared by 3',
  },
  {
    slug: 'device-repeated',
    source: split('').replace(
      'decode on gpu { mesh (dp: 2, tp: 4) }',
      'decode on gpu[4..6], «gpu[6..7]» { mesh (tp: 5) }',
    ),
    says: '`gpu[6]` stands here twice',
  },
  { slug: 'axis-repeated', source: fused('mesh (tp: 2, «tp: 4»)') },
  { slug: 'two-fills', source: fused('mesh (pp: fill, «tp: fill»)') },
  {
    slug: 'stage-overlap',
    source: split('').replace(
      'decode on gpu { mesh (dp: 2, tp: 4) }',
      'decode on «gpu[4..7]» { mesh (tp: 4) }',
    ),
  },
  {
    slug: 'stage-without-devices',
    source: fused('mesh (dp: 8)').replace('serve', '«serve»').replace(' on gpu {', ' {'),
  },
  {
    slug: 'stage-without-devices',
    source: `${WORLD}plan p for m on t { stage { mesh (dp: 8) } }`,
    says: 'this stage does not say',
  },
  { slug: 'stage-without-mesh', source: fused('').replace('serve', '«serve»'), says: 'mesh auto' },
  {
    slug: 'weights-do-not-fit',
    source: fused('mesh «(dp: 8)»').replace('memory: 16 GB', 'memory: 40 MB'),
    says: 'they fit with mesh (',
  },
  {
    slug: 'duplicate-link',
    source: WORLD.replace(
      'link gpu <-> host',
      'link «gpu» <-> gpu { bandwidth: 1 GB/s }\n link gpu <-> host',
    ),
  },
  { slug: 'no-mesh-fits', source: fused('«mesh auto»').replace('memory: 16 GB', 'memory: 1 MB') },
  { slug: 'not-a-device', source: fused('mesh (dp: 8)').replace('on gpu', 'on «host»'), says: 'is a tier' },
  { slug: 'no-stages', source: `${WORLD}plan «p» for m on t { }` },
  { slug: 'no-model', source: `${WORLD}plan «p» on t { }`, says: 'which model' },
  {
    slug: 'exchange-not-used',
    source: WORLD.replace('gpu <-> host { ', 'gpu <-> host { «allreduce_latency»: { 2: 1 s }, '),
    says: 'between `gpu` and `host` joins no devices',
  },
  {
    slug: 'exchange-not-used',
    source: `${WORLD}topology u { node[2] { gpu[2]: d, tier host { capacity: 1 GB }, link gpu <-> host { bandwidth: 1 GB/s, «allreduce»: { 2: 1 GB/s } } } }`,
  },
  {
    slug: 'no-way-back',
    source: WORLD.replace('link gpu <-> gpu {', 'link gpu <-> gpu { «bandwidth_back: 1 GB/s»,'),
  },

  // ---------------------------------------------------------------- sharding
  { slug: 'unknown-axis', source: fused('mesh («ttp»: 8)'), says: '`tp`' },
  { slug: 'unknown-axis', source: fused('mesh («xp»: 2, dp: 2, tp: 2)'), says: '`pp`' },
  { slug: 'unsupported-axis', source: fused('mesh («ep»: 8)') },
  {
    slug: 'dim-not-divisible',
    source: fused('mesh («tp: 8»)'),
    says: '`replicate kv_heads by 2` keeps tp = 8',
  },
  {
    slug: 'dim-not-divisible',
    source: fused('mesh («tp: 8»)').replace('ffn: 1536', 'ffn: 1532'),
    says: '`ffn`',
  },
  {
    slug: 'blocks-cut',
    source: fused('mesh (dp: 2, «tp: 4»)', 'weights: int8').replace('ffn: 1536', 'ffn: 1600'),
    says: 'tp = 1 or 2 leaves whole blocks to every rank',
  },
  {
    slug: 'blocks-cut',
    source: fused('mesh (dp: 2, «tp: 4»)', 'weights: int4').replace('hidden: 512', 'hidden: 320'),
    says: 'the projection after attention has 320 columns',
  },
  { slug: 'too-many-pipeline-stages', source: fused('mesh («pp: 8»)').replace('layers: 8', 'layers: 6') },
  { slug: 'unknown-dim', source: fused('mesh (dp: 2, tp: 4)\nshard «head» on tp'), says: '`heads`' },
  { slug: 'dim-on-wrong-axis', source: fused('mesh (dp: 2, tp: 4)\nshard «hidden» on tp') },
  { slug: 'dim-on-wrong-axis', source: fused('mesh (dp: 2, tp: 4)\nshard heads on «dp»') },
  {
    slug: 'split-length',
    source: fused('mesh (pp: 8)\nsplit layers on pp «[4, 4]»'),
    says: '[1, 1, 1, 1, 1, 1, 1, 1]',
  },
  { slug: 'split-sum', source: fused('mesh (pp: 2, dp: 4)\nsplit layers on pp «[4, 5]»') },
  { slug: 'kv-replicas', source: fused('mesh (tp: 8)\nreplicate «kv_heads» by 4') },
  {
    slug: 'heads-disagree',
    source: fused('mesh (tp: 8)\nreplicate kv_heads by 2\nreplicate «heads»').replace('heads: 8', 'heads: 4'),
    says: 'every rank attends with the query heads of its kv heads',
  },
  {
    slug: 'bad-override',
    source: fused('mesh (dp: 2, tp: 4)\noverride layers«[6..8]».mlp { replicate ffn }'),
  },
  { slug: 'bad-override', source: fused('mesh (dp: 2, tp: 4)\noverride layers[0].«mpl» { replicate ffn }') },
  { slug: 'placed-twice', source: fused('mesh (dp: 2, tp: 4)\nreplicate ffn\nshard «ffn» on tp') },

  // ---------------------------------------------------------------- KV and tiers
  {
    slug: 'kv-does-not-fit',
    source: fused('mesh «(dp: 8)»\nmicrobatch: 2048 tokens').replace('memory: 16 GB', 'memory: 69 MB'),
    says: 'x memory_use 90% - weights',
  },
  {
    slug: 'kv-tight',
    source: fused('mesh «(dp: 8)»\nmicrobatch: 128 tokens').replace('memory: 16 GB', 'memory: 70 MB'),
  },
  { slug: 'unknown-tier', source: fused('mesh (dp: 8)', 'kv { tiers: gpu -> «hots» }'), says: '`host`' },
  {
    slug: 'cap-exceeds-capacity',
    source: fused('mesh (dp: 8)', 'kv { tiers: gpu -> host up to «100 GiB» }'),
    says: '64 GiB',
  },
  {
    slug: 'first-tier-not-device',
    source: fused('mesh (dp: 8)', 'kv { tiers: «host» -> gpu }'),
    says: '`gpu -> host`',
  },
  { slug: 'tier-repeated', source: fused('mesh (dp: 8)', 'kv { tiers: gpu -> host -> «host» }') },
  { slug: 'kv-needs-tier', source: split('kv { tiers: «gpu» }'), says: '`tiers: gpu -> host`' },
  {
    slug: 'tier-not-beside',
    source: acrossNodes('small', 'big', 'gpu -> host -> «nvme»'),
    says: 'declare `tier nvme { capacity: ..., path: ... }` in `small`',
  },
  {
    slug: 'tier-not-beside',
    source: acrossNodes('big', 'bare', 'gpu -> «host»'),
    says: 'declare `tier host { capacity: ... }` in `bare`',
  },
  {
    slug: 'tier-not-beside',
    source: acrossNodes('small', 'big', 'gpu -> host -> «cxl»').replace(
      'big {',
      'big {\n tier cxl { capacity: 1 TB }',
    ),
    says: 'or leave `cxl` out of `tiers`',
  },
  { slug: 'cap-on-device', source: fused('mesh (dp: 8)', 'kv { tiers: gpu up to «1 GB» -> host }') },
  {
    slug: 'no-page-to-hand-over',
    source: split('kv { tiers: gpu -> «host» up to 100 KB }'),
    says: '0 pages',
    compiled: true,
  },
  { slug: 'hand-over-tight', source: split('kv { tiers: gpu -> «host» up to 1 MB }'), compiled: true },

  // ---------------------------------------------------------------- flow
  {
    slug: 'missing-phase',
    source: `${WORLD}plan «p» for m on t { stage prefill on gpu { mesh (pp: 8) } }`,
    says: 'does decode',
  },
  {
    slug: 'unknown-stage',
    source: split('flow requests -> prefill -> «decod» -> results'),
    says: '`decode`',
  },
  { slug: 'unknown-stage', source: split('').replace('decode on gpu', 'decode on gpu like «prefil»') },
  { slug: 'flow-ends', source: split('flow «prefill» -> decode -> results') },
  { slug: 'stage-not-in-flow', source: split('«flow requests -> prefill -> results»') },
  { slug: 'flow-order', source: split('«flow requests -> decode -> prefill -> results»') },
  {
    slug: 'unknown-condition',
    source: split('flow requests -> prefill -> decode -> results { to decode when host.«ful» }'),
    says: '`full`',
  },
  {
    slug: 'unknown-condition',
    source: split('flow requests -> prefill -> decode -> results { to decode when «host(1,  2)» }'),
    says: '`host(1, 2)` is nothing',
  },
  {
    slug: 'unknown-phase',
    source: fused('mesh (dp: 8)').replace('+ decode', '+ «decoding»'),
    says: '`decode`',
  },
  { slug: 'unknown-phase', source: `${WORLD}plan p for m on t { stage «serve» on gpu { mesh (dp: 8) } }` },
  { slug: 'duplicate-stage', source: split('stage «decode» on gpu { mesh (pp: 8) }') },
  { slug: 'duplicate-block', source: split('kv { page: 16 tokens }\n«kv» { page: 32 tokens }') },
  { slug: 'duplicate-block', source: fused('mesh (dp: 8)\n«mesh (pp: 8)»') },
  { slug: 'stage-repeated', source: split('flow requests -> prefill -> «prefill» -> decode -> results') },
  {
    slug: 'like-cycle',
    source: `${WORLD}plan p for m on t { stage prefill like decode { }\n stage decode like «prefill» { } }`,
  },
  {
    slug: 'misplaced-member',
    source: fused('mesh (dp: 2, tp: 4)\noverride layers[0].mlp { «mesh (tp: 2)» }'),
  },

  { slug: 'wrong-type', source: 'model m { source: «clerk» }', says: 'the bare word `clerk`' },
  {
    slug: 'wrong-type',
    source: 'model m { source: "clerk", weights: «"f16"» }',
    says: 'one of f32, f16',
  },
  {
    slug: 'out-of-range',
    source: fused('mesh (dp: 4)').replace('on gpu', 'on gpu«[3..0]»'),
    says: '0..3',
  },
  { slug: 'out-of-range', source: 'param n: tokens = «2.5 tokens»', says: 'a whole number' },
  { slug: 'out-of-range', source: 'device d { memory: «1e300 TB» }', says: 'is too large to reckon with' },
  {
    slug: 'out-of-range',
    source: 'workload w { requests: «1_000_000_000», prompt: 1 tokens, output: 1 tokens }',
    says: 'at most 1000000 requests',
  },
  {
    slug: 'out-of-range',
    source: 'workload w { requests: 8, prompt: uniform(most: «5 tokens», least: 9 tokens), output: 1 }',
    says: 'at least 9 tokens',
  },
  {
    slug: 'out-of-range',
    source: 'workload w { requests: 8, prompt: uniform(«0 tokens», 8 tokens), output: 1 tokens }',
    says: 'at least 1 token',
  },
  {
    slug: 'out-of-range',
    source: 'workload w { requests: 8, prompt: uniform(8 tokens, «0 tokens»), output: 1 tokens }',
    says: 'at least 8 tokens',
  },
  {
    slug: 'out-of-range',
    source: 'workload w { requests: 8, prompt: 1 tokens, output: uniform(3 tokens, «4.5 tokens») }',
    says: 'a whole number',
  },

  // ---------------------------------------------------------------- expectations
  { slug: 'unknown-measure', source: split('expect { «peek»(decode, gpu) <= 1 GB }'), says: '`peak`' },
  { slug: 'bad-measure-argument', source: split('expect { collectives(decode, per: «token») <= 2 }') },
  { slug: 'bad-measure-argument', source: split('expect { «peak(decode)» <= 2 GB }') },
  {
    slug: 'bad-measure-argument',
    source: split('expect { collectives(decode, per: layer, «per»: step) <= 2 }'),
    says: '`per` is given twice',
  },
  {
    slug: 'bad-measure-argument',
    source: split('expect { peak(decode, «gpu[0..3]») <= 2 GB }').replace(
      'decode on gpu { mesh (dp: 2, tp: 4) }',
      'decode on gpu[4..7] { mesh (tp: 4) }',
    ),
    says: 'none of',
  },
  {
    slug: 'bad-measure-argument',
    source: `${split('expect { peak(decode, gpu) <= 16 GB for «w» }')}\n${WORKLOAD}`,
    says: 'the same for every workload',
  },
  { slug: 'not-a-bound', source: split('expect { «peak(decode, gpu) + 2» }') },
  {
    slug: 'expectation-not-met',
    source: split('expect { «collectives(decode, per: layer) <= 1» }'),
    compiled: true,
    says: 'collectives(decode, per: layer) is 2, expected <= 1',
  },
  {
    slug: 'expectation-not-met',
    source: split('expect { «never all_reduce in decode» }'),
    compiled: true,
    says: 'decode/p0/',
  },
  {
    slug: 'expectation-not-met',
    source: split('expect { «peak(decode, gpu) <= 1 MB» }'),
    compiled: true,
    says: 'gpu[0]: weights',
  },

  {
    slug: 'expectation-not-met',
    source: `${split('expect { «transitions <= 0 for w» }\nresidence: switch')}\n${WORKLOAD}`,
    compiled: true,
    says: 'transitions is 1 for workload w, simulated, expected <= 0',
  },
  {
    slug: 'expectation-not-met',
    source: `${split('expect { «bytes(prefill -> decode) <= 1 MB» }\nresidence: switch')}\n${WORKLOAD}`,
    compiled: true,
    says: 'prefill -> decode/weights: ',
  },
  {
    slug: 'time-not-met',
    source: `${split('expect { «time <= 1 us» }')}\n${WORKLOAD}`,
    compiled: true,
    says: 'for workload w, simulated, expected <= 1 us',
  },
  {
    slug: 'workload-not-held',
    source: `${split('kv { tiers: gpu -> host up to 500 KB }\n  expect { «time <= 10 s» }')}\n${WORKLOAD}`,
    compiled: true,
    says: 'requests of workload `w`, so nothing is kept',
  },

  {
    slug: 'workload-unreadable',
    source: 'workload w { requests: «"there-is-none.jsonl"» }',
    compiled: true,
    says: 'workload w has no requests: cannot read there-is-none.jsonl',
  },

  // ---------------------------------------------------------------- allowances
  {
    slug: 'unused-allowance',
    source: `${fused('mesh (tp: 4, dp: 2)').replace('plan p', '«//! allow kv-tight: short»\nplan p')}`,
    compiled: true,
  },
  {
    slug: 'unused-allowance',
    source: split(
      'expect { peak(decode, gpu) <= 16 GB }\n«//! allow FC0602: only a type is read»\nkv { dtype: f16 }',
    ),
    compiled: true,
  },
  { slug: 'bad-allowance', source: '«//! alow kv-tight: short»\nparam a: int = 1', says: 'write `//! allow' },
  { slug: 'bad-allowance', source: '//! allow «kv-tigth»: short\nparam a: int = 1', says: '`kv-tight`' },
  { slug: 'bad-allowance', source: '//! allow «mesh-size»: short\nparam a: int = 1', says: 'is an error' },
  { slug: 'bad-allowance', source: '«//! allow kv-tight»\nparam a: int = 1', says: 'no reason' },
  { slug: 'bad-allowance', source: 'param a: int = 1\n«//! allow kv-tight: short»', says: 'no item' },
];
