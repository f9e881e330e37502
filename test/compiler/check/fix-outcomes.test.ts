/** Slips as they are made, what is said of each, and the one line that its fixes lead to. */
import { describe, expect, it } from 'vitest';
import { split } from './marked.js';
import { mended } from './mended.js';
import { checkText } from './memory-host.js';

/** Two plans that are sound, with the places where slips are made. */
const PLAN = `// comment
import { l4 } from "std/devices"
topology u {
  node[2] { gpu[4]: l4 }
  link node.gpu <-> node.gpu { bandwidth: 10 GB/s }
}
plan q for m on u {
  stage serve: prefill + decode on node.gpu { mesh (dp: 8) }
}
workload w { requests: 8, prompt: 1_620 tokens, output: 1 tokens }
${split(`kv { page: 16 tokens, tiers: gpu -> host up to 4 GiB }
  flow requests -> prefill -> decode -> results {
    to decode when host.used >= 50%
  }
  expect { peak(decode, gpu) <= 9 GB }`)}`;

/** The text with the edits of every fix, by the fix's title. */
function outcomes(text: string): readonly (readonly [string, string])[] {
  return checkText(text).diagnostics.flatMap(({ fixes }) =>
    fixes.map((fix): readonly [string, string] => [fix.title, mended(text, fix)]),
  );
}

interface Slip {
  readonly was: string;
  readonly is: string;
  /** Codes of all that is said. */
  readonly said: readonly string[];
  /** What each fix makes of it: a text that is sound. */
  readonly fixes: Readonly<Record<string, string>>;
}

const FLOW = 'requests -> prefill -> decode -> results';

const SLIPS: readonly Slip[] = [
  // ---------------------------------------------------------------- the path of a flow
  { was: FLOW, is: FLOW.slice(0, -1), said: ['FC0703'], fixes: { 'Change to `results`': FLOW } },
  { was: FLOW, is: `requsts${FLOW.slice(8)}`, said: ['FC0703'], fixes: { 'Change to `requests`': FLOW } },
  {
    was: FLOW,
    is: FLOW.replace('results', 'done'),
    said: ['FC0703'],
    fixes: { 'Change to `results`': FLOW },
  },
  { was: FLOW, is: FLOW.replace(' ->', ''), said: ['FC0101'], fixes: { 'Insert `->`': FLOW } },
  { was: FLOW, is: FLOW.replace('prefill ->', 'prefill'), said: ['FC0101'], fixes: { 'Insert `->`': FLOW } },
  { was: FLOW, is: 'requests -> prefill -> decode', said: ['FC0703'], fixes: { 'Add `results`': FLOW } },
  { was: FLOW, is: 'requests', said: ['FC0703'], fixes: { 'Add `prefill -> decode -> results`': FLOW } },
  { was: FLOW, is: 'decode -> results', said: ['FC0703'], fixes: { 'Add `requests -> prefill`': FLOW } },
  {
    was: FLOW,
    is: FLOW.replace('-> decode', '-> prefil'),
    said: ['FC0702'],
    fixes: { 'Change to `decode`': FLOW },
  },
  {
    was: FLOW,
    is: FLOW.replace('-> decode', '-> decode -> other'),
    said: ['FC0702'],
    fixes: { 'Remove this `other`': FLOW },
  },

  // ---------------------------------------------------------------- devices
  {
    was: 'gpu[4]: l4',
    is: 'devices gpu[4]: l4',
    said: ['FC0101'],
    fixes: { 'Remove `devices`': ' gpu[4]: l4' },
  },
  { was: 'gpu[4]: l4', is: 'foo gpu[4]', said: ['FC0105', 'FC0401', 'FC0401'], fixes: {} },
  { was: 'gpu[4]: l4', is: 'gpu[4] l4', said: ['FC0105'], fixes: { 'Insert `:`': 'gpu[4]: l4' } },
  {
    was: 'on node.gpu',
    is: 'on node.',
    said: ['FC0415', 'FC0104'],
    fixes: { 'Change to `node.gpu`': 'on node.gpu' },
  },

  // ---------------------------------------------------------------- habits of other languages, and words too few
  { was: '// comment', is: '# comment', said: ['FC0112'], fixes: { 'Change to `//`': '// comment' } },
  {
    was: '"std/devices"',
    is: 'std/devices',
    said: ['FC0103'],
    fixes: { 'Change to `"std/devices"`': '"std/devices"' },
  },
  { was: 'up to 4 GiB', is: 'up 4 GiB', said: ['FC0114'], fixes: { 'Insert `to`': 'up to 4 GiB' } },
  {
    was: 'gpu -> host up',
    is: 'gpu, host up',
    said: ['FC0101'],
    fixes: { 'Change to `->`': 'gpu -> host up' },
  },
  {
    was: 'up to 4 GiB }',
    is: 'up to 4 GiB, dtype f16 }',
    said: ['FC0105'],
    fixes: { 'Insert `:`': 'up to 4 GiB, dtype: f16 }' },
  },
  {
    was: '{ capacity: 64 GiB }',
    is: '{ capacity }',
    said: ['FC0105'],
    fixes: { 'Insert `: 640 GiB`': '{ capacity: 640 GiB }' },
  },
  {
    was: 'capacity: 64 GiB',
    is: 'capacty: 64 GiB',
    said: ['FC0301'],
    fixes: { 'Change to `capacity`': 'capacity: 64 GiB' },
  },
  { was: 'page: 16', is: 'page page: 16', said: ['FC0101'], fixes: { 'Remove `page`': ' page: 16' } },
  {
    was: 'gpu) <= 9 GB',
    is: 'gpu) 9 GB',
    said: ['FC0114'],
    fixes: { 'Insert `<=`': 'gpu) <= 9 GB', 'Insert `==`': 'gpu) == 9 GB' },
  },
  {
    was: 'gpu) <= 9 GB',
    is: 'gpu) = 9 GB',
    said: ['FC0101'],
    fixes: { 'Change to `<=`': 'gpu) <= 9 GB', 'Change to `==`': 'gpu) == 9 GB' },
  },
  { was: 'gpu) <= 9 GB', is: 'gpu) =< 9 GB', said: ['FC0101'], fixes: { 'Change to `<=`': 'gpu) <= 9 GB' } },
  { was: 'gpu) <= 9 GB', is: 'gpu) = < 9 GB', said: ['FC0101'], fixes: { 'Change to `<=`': 'gpu) <= 9 GB' } },
  {
    was: 'gpu) <= 9 GB',
    is: 'gpu) = = 9 GB',
    said: ['FC0101'],
    fixes: { 'Change to `<=`': 'gpu) <= 9 GB', 'Change to `==`': 'gpu) == 9 GB' },
  },
  ...['< =', '<= =', '<==', '<= <='].map((sign) => ({
    was: 'gpu) <= 9 GB',
    is: `gpu) ${sign} 9 GB`,
    said: ['FC0101'],
    fixes: { 'Change to `<=`': 'gpu) <= 9 GB' },
  })),
  ...['===', '== =', '= =='].map((sign) => ({
    was: 'gpu) <= 9 GB',
    is: `gpu) ${sign} 9 GB`,
    said: ['FC0101'],
    fixes: { 'Change to `==`': 'gpu) == 9 GB' },
  })),
  ...['!==', '<>'].map((sign) => ({
    was: 'gpu) <= 9 GB',
    is: `gpu) ${sign} 9 GB`,
    said: ['FC0101'],
    fixes: { 'Change to `!=`': 'gpu) != 9 GB' },
  })),
  {
    was: 'used >= 50%',
    is: 'used > = 50% and requests.empty',
    said: ['FC0101'],
    fixes: { 'Change to `>=`': 'used >= 50% and requests.empty' },
  },
  { was: 'used >= 50%', is: 'used << 50%', said: ['FC0101'], fixes: { 'Change to `<`': 'used < 50%' } },
  {
    was: 'used >= 50%',
    is: 'used === 50%',
    said: ['FC0101'],
    fixes: { 'Change to `<=`': 'used <= 50%', 'Change to `>=`': 'used >= 50%' },
  },
  { was: '<= 9 GB', is: '<= 9 GB 5', said: ['FC0101'], fixes: { 'Remove `5`': '<= 9 GB ' } },
  { was: 'used >= 50%', is: 'used >= 50% 5', said: ['FC0101'], fixes: { 'Remove `5`': 'used >= 50% ' } },
  { was: 'used >= 50%', is: 'full = true', said: ['FC0101'], fixes: { 'Remove `= true`': 'full ' } },
  {
    was: 'prefill -> decode',
    is: 'prefill = decode',
    said: ['FC0101'],
    fixes: { 'Change to `->`': 'prefill -> decode' },
  },
  {
    was: 'prefill -> decode',
    is: 'prefill => decode',
    said: ['FC0101'],
    fixes: { 'Change to `->`': 'prefill -> decode' },
  },
  { was: 'used >= 50%', is: 'used => 50%', said: ['FC0101'], fixes: { 'Change to `>=`': 'used >= 50%' } },
  {
    was: '1_620 tokens',
    is: '1,620 tokens',
    said: ['FC0101'],
    fixes: { 'Change to `1_620`': '1_620 tokens' },
  },
  ...['1,620 // a, b\n', '1,620 /* a, b */'].map((is) => ({
    was: '1_620 tokens',
    is,
    said: ['FC0101'],
    fixes: { 'Change to `1_620`': is.replace(',', '_') },
  })),
  ...['1,620,output', '1,620, output', '1,620 tokens, output', '1,620,640,output', '1,620,output tokens'].map(
    (is) => ({ was: '1_620 tokens', is, said: ['FC0101'], fixes: {} }),
  ),
  {
    was: 'mesh (dp: 8)',
    is: 'mesh (dp: 8), batch: 1,024, shard heads on tp',
    said: ['FC0101'],
    fixes: { 'Change to `1_024`': 'mesh (dp: 8), batch: 1_024, shard heads on tp' },
  },
  {
    was: '1_620 tokens',
    is: '1,000,620 tokens',
    said: ['FC0101'],
    fixes: { 'Change to `1_000_620`': '1_000_620 tokens' },
  },
  {
    was: 'flow requests ->',
    is: 'requests ->',
    said: ['FC0114'],
    fixes: { 'Insert `flow`': 'flow requests ->' },
  },
];

describe('the fixes', () => {
  it('are tried on a plan that is sound', () => {
    expect(checkText(PLAN).diagnostics).toEqual([]);
  });

  it.each(SLIPS)('of `$is` in place of `$was` are sound', ({ was, is, said, fixes }) => {
    expect(PLAN).toContain(was);
    const text = PLAN.replace(was, () => is);
    expect(checkText(text).diagnostics.map(({ code }) => code)).toEqual(said);
    expect(Object.fromEntries(outcomes(text))).toEqual(
      Object.fromEntries(
        Object.entries(fixes).map(([title, meant]) => [title, PLAN.replace(was, () => meant)]),
      ),
    );
  });

  it.each(['std "devices"', 'std/dev"ices', '<std/devices>', 'std devices'])(
    'are none where `%s` is to be a file',
    (file) => {
      const text = PLAN.replace('"std/devices"', () => file);
      const [first] = checkText(text).diagnostics;
      expect(first).toMatchObject({ code: 'FC0103', fixes: [] });
    },
  );

  it.each(['= gpu', '=> gpu'])('are none that break the head of a stage with `%s`', (rest) => {
    const text = PLAN.replace('decode on node.gpu', () => `decode ${rest}`);
    const found = checkText(text).diagnostics.find(({ code }) => code === 'FC0101');
    expect(found).toMatchObject({ fixes: [] });
  });

  it.each([
    '{ l4 } from',
    '{ l4 } from "std/device"',
    '{ l5 } from "std/devices"',
    '"std/devices"',
    'from "std/devices" import l4',
  ])('add no import beside the broken `import %s`', (written) => {
    const text = PLAN.replace('{ l4 } from "std/devices"', written);
    const found = checkText(text).diagnostics;
    expect(found).toContainEqual(expect.objectContaining({ code: 'FC0201' }));
    expect(found.flatMap(({ fixes }) => fixes.map(({ title }) => title))).not.toContainEqual(
      expect.stringMatching(/^Add `import/),
    );
  });

  it.each(['{ h100 } from "std/devices"', '{ h100 } from "std/device"', '{ h100 } from'])(
    'add one beside an import of other names: `import %s`',
    (written) => {
      const titles = outcomes(PLAN.replace('{ l4 } from "std/devices"', written)).map(([title]) => title);
      expect(titles).toContain('Add `import { l4 } from "std/devices"`');
    },
  );

  it('leave the declaration alone behind an import without a file', () => {
    const [devices] = PLAN.match(/import .*/) ?? [];
    const text = PLAN.replace(devices!, () => `import { l4 } from <std/devices>\n${devices!}`);
    expect(checkText(text).diagnostics.map(({ code }) => code)).toEqual(['FC0103']);
  });

  it.each([
    ['serve:', ['FC0104']],
    ['serve: prefill +', ['FC0104']],
    ['serve: prefill = decode on node.gpu', ['FC0101']],
    ['serve: prefill . + decode on node.gpu', ['FC0101']],
    ['serve: prefill + decode = node.gpu', ['FC0101']],
    ['serve: prefill + decode node.gpu', ['FC0101']],
    ['serve: prefill + decode like', ['FC0104']],
  ])('add no devices to the broken head `stage %s`', (head, said) => {
    const text = PLAN.replace('serve: prefill + decode on node.gpu', head);
    const found = checkText(text).diagnostics;
    expect(found.map(({ code }) => code)).toEqual(said);
    expect(found.flatMap(({ fixes }) => fixes.map(({ title }) => title))).not.toContainEqual(
      expect.stringMatching(/^Add `on/),
    );
  });

  it.each([
    ['q for m = u', 'FC0101'],
    ['q for m u', 'FC0101'],
    ['q m on u', 'FC0101'],
    ['q for = m on u', 'FC0104'],
    ['q for', 'FC0104'],
    ['q for m for m', 'FC0101'],
    ['q on', 'FC0103'],
  ])('add no model and no topology to the broken head `plan %s`', (head, said) => {
    const found = checkText(PLAN.replace('q for m on u', head)).diagnostics;
    expect(found.map(({ code }) => code)).toEqual([said]);
    expect(found.flatMap(({ fixes }) => fixes)).toEqual([]);
  });

  it('add the topology to a head that lacks nothing else', () => {
    const text = PLAN.replace('q for m on u', 'q for m');
    expect(outcomes(text)).toContainEqual(['Add `on u`', PLAN]);
  });

  it('add the devices to a head that lacks nothing else', () => {
    const whole = 'stage serve: prefill + decode on node.gpu';
    const text = PLAN.replace(whole, 'stage serve: prefill + decode');
    expect(outcomes(text)).toEqual([['Add `on node.gpu`', PLAN]]);
  });
});
