import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { loadTokenizer } from '../../../runtime/tokenizer/tokenizer.js';
import { byteTokenizer } from '../../fixtures/byte-tokenizer.js';

const CLERK = 'plans/models/clerk';
const scratch = mkdtempSync(join(tmpdir(), 'fulcrum-tokenizer-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function directory(
  name: string,
  tokenizer: unknown,
  config: unknown,
  more: Record<string, unknown> = {},
): string {
  const dir = join(scratch, name);
  mkdirSync(dir);
  const files = { 'tokenizer.json': tokenizer, 'tokenizer_config.json': config, ...more };
  for (const [file, value] of Object.entries(files)) {
    writeFileSync(join(dir, file), typeof value === 'string' ? value : JSON.stringify(value));
  }
  return dir;
}

const byteLevel = ((): string => {
  const { tokenizer, config } = byteTokenizer(300, 128);
  return directory('bytes', tokenizer, config);
})();

/** As sentencepiece models are exported: word marks, single bytes for unknown characters, a stripped first space. */
const byteFallback = ((): string => {
  const hex = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
  );
  const words = ['<unk>', '<s>', '</s>', ...hex, '▁', '▁a', 'b', '▁word', 'x'];
  const special = (id: number): object => ({ id, content: words[id], special: true, normalized: false });
  const tokenizer = {
    version: '1.0',
    added_tokens: [0, 1, 2].map(special),
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      merges: [],
    },
  };
  return directory('fallback', tokenizer, { eos_token: '</s>', bos_token: '<s>' });
})();

it('takes every number of Unicode for a digit, as tokenizers are published', () => {
  const vocab = { Ġ: 0, Â: 1, '½': 2, ĠÂ: 3, '½Â': 4 };
  const encoded = (individual_digits: boolean, text: string): number[] => {
    const tokenizer = {
      version: '1.0',
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Digits', individual_digits },
          { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
        ],
      },
      post_processor: null,
      decoder: { type: 'ByteLevel' },
      model: {
        type: 'BPE',
        vocab,
        merges: [
          ['Ġ', 'Â'],
          ['½', 'Â'],
        ],
      },
    };
    return loadTokenizer(directory(`digits-${individual_digits}`, tokenizer, {})).encode(text, false);
  };
  expect(encoded(true, ' ½½')).toEqual([0, 1, 2, 1, 2]);
  expect(encoded(false, ' ½½')).toEqual([0, 1, 4, 2]);
});

describe('clerk', () => {
  const tokenizer = loadTokenizer(CLERK);

  it('encodes the shipped requests to the golden ids and decodes the golden answers', () => {
    const golden = JSON.parse(readFileSync(join(CLERK, 'data/golden.json'), 'utf8')) as {
      cases: { custom_id: string; prompt_ids: number[]; output_ids: number[]; output_text: string }[];
    };
    const lines = readFileSync(join(CLERK, 'data/records.jsonl'), 'utf8').trim().split('\n');
    const prompts = new Map(
      lines.map((line) => {
        const record = JSON.parse(line) as { custom_id: string; body: { prompt: string } };
        return [record.custom_id, record.body.prompt];
      }),
    );
    for (const record of golden.cases) {
      expect(tokenizer.encode(prompts.get(record.custom_id)!, true)).toEqual(record.prompt_ids);
      expect(tokenizer.decode(record.output_ids)).toBe(record.output_text);
    }
  });

  it('knows its stop ids, its size and its special tokens', () => {
    expect(tokenizer.stopIds).toEqual([1]);
    expect(tokenizer.largestId).toBe(511);
    expect(tokenizer.tokenText(1)).toBe('<|eos|>');
    expect(tokenizer.encode('a', false)).toEqual([66]);
    expect(tokenizer.renderChat).toBeUndefined();
  });
});

describe('incremental decoding', () => {
  it.each([
    ['byte level', byteLevel, 302],
    ['byte fallback', byteFallback, 266],
    ['clerk', CLERK, 514],
  ])('%s: pieces join to the whole, for any ids', (_, dir, ids) => {
    const tokenizer = loadTokenizer(dir);
    fc.assert(
      fc.property(fc.array(fc.nat(ids - 1), { maxLength: 24 }), (sequence) => {
        const stream = tokenizer.stream();
        const pieces = sequence.map((id) => stream.push(id));
        expect(pieces.join('') + stream.flush()).toBe(tokenizer.decode(sequence));
      }),
      { numRuns: 400 },
    );
  });

  it.each([byteLevel, byteFallback])(
    'gives a character when its last byte arrives, never before: %s',
    (dir) => {
      const tokenizer = loadTokenizer(dir);
      const text = 'x€😀b';
      const ids = tokenizer.encode(text, false);
      const stream = tokenizer.stream();
      const pieces = ids.map((id) => stream.push(id));
      expect(pieces.slice(-9)).toEqual(['x', '', '', '€', '', '', '', '😀', 'b']);
      expect(stream.flush()).toBe('');
    },
  );

  it('gives an unfinished character as one replacement at the end', () => {
    const tokenizer = loadTokenizer(byteLevel);
    const stream = tokenizer.stream();
    const ids = tokenizer.encode('a€', false).slice(0, -1);
    expect(ids.map((id) => stream.push(id)).join('')).toBe('a');
    expect(stream.flush()).toBe('\ufffd');
  });
});

describe('chat templates', () => {
  const { tokenizer, config } = byteTokenizer(300, 128);
  const template = `{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}`;
  const messages = [{ role: 'user', content: 'hi' }];
  const plain = { addGenerationPrompt: true, kwargs: {} };
  const named = [
    { name: 'tool_use', template: 'tools' },
    { name: 'default', template },
  ];

  it.each([
    ['text', { chat_template: template }, {}],
    ['named list', { chat_template: named }, {}],
    ['own file', { chat_template: 'unused' }, { 'chat_template.jinja': template }],
    ['eos as object', { chat_template: template, eos_token: { content: '<|eos|>' } }, {}],
  ])('renders a template given as %s', (name, more, files) => {
    const dir = directory(`chat ${name}`, tokenizer, { ...config, ...more }, files);
    const loaded = loadTokenizer(dir);
    expect(loaded.renderChat!(messages, plain)).toBe('<|bos|>[user]hi[assistant]');
    expect(loaded.encode(loaded.renderChat!(messages, plain), false)[0]).toBe(0);
    expect(loaded.stopIds).toEqual([1]);
  });

  it('renders what the options of a request say', () => {
    const choosing = { ...config, chat_template: '{{ mood }}{% if add_generation_prompt %}!{% endif %}' };
    const loaded = loadTokenizer(directory('choosing', tokenizer, choosing));
    const render = loaded.renderChat!;
    expect(render(messages, { addGenerationPrompt: true, kwargs: { mood: 'calm' } })).toBe('calm!');
    expect(render(messages, { addGenerationPrompt: false, kwargs: { mood: 'calm' } })).toBe('calm');
    expect(render(messages, { addGenerationPrompt: false, kwargs: { add_generation_prompt: true } })).toBe(
      '!',
    );
  });

  const rendered = (name: string, text: string): (() => string) => {
    const loaded = loadTokenizer(directory(name, tokenizer, { ...config, chat_template: text }));
    return () => loaded.renderChat!(messages, plain);
  };

  it('counts with range as Jinja does', () => {
    const list = ['3', '1, 4', '4, 1, -1', '2, 2', '0, 5, 2', '5, 0'].map(
      (of) => `{{ range(${of}) | list }}`,
    );
    expect(rendered('ranges', list.join(';'))()).toBe('[0, 1, 2];[1, 2, 3];[4, 3, 2];[];[0, 2, 4];[]');
    expect(rendered('no step', '{{ range(1, 2, 0) }}')).toThrow(/step must not be zero/);
  });

  const twice = (inner: string): string => `{% set r = range(5000) %}{% for i in r %}${inner}{% endfor %}`;
  it.each([
    ['one', '{% for i in range(100000000) %}x{% endfor %}'],
    ['nested', '{% for i in range(5000) %}{% for j in range(50000) %}{% endfor %}{% endfor %}'],
    ['of one list', twice('{% for j in r %}{% endfor %}')],
    ['that end at once', twice('{% for j in r %}{% break %}{% endfor %}')],
    ['that pass over all', twice('{% for j in r if false %}{% endfor %}')],
    [
      'of macros',
      '{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}',
    ],
  ])('refuses endless loops: %s', (name, text) => {
    const message =
      'the chat template refuses the messages: its loops and ranges take more than 1000000 steps';
    expect(rendered(`endless ${name}`, text)).toThrow(expect.objectContaining({ code: 'FC0917', message }));
  });

  it('renders what is honestly quadratic, and loops as they are without a count', () => {
    const pairs = '{% for i in range(600) %}{% for j in range(600) %}{% endfor %}{% endfor %}done';
    expect(rendered('quadratic', pairs)()).toBe('done');
    const loops =
      '{% macro m(x) %}<{{ x }}>{% endmacro %}' +
      '{% for i in range(6) if i % 2 %}{{ m(i) }}{{ loop.index }}/{{ loop.length }} {% else %}none{% endfor %}' +
      '{% for i in [] %}x{% else %}none{% endfor %}{% for k, v in {"a": 1}.items() %}{{ k }}{{ v }}{% endfor %}';
    expect(rendered('loops', loops)()).toBe('<1>1/3 <3>2/3 <5>3/3 nonea1');
  });

  it('counts the steps of every rendering anew', () => {
    const render = rendered('long', '{{ range(600000) | length }}');
    expect([render(), render()]).toEqual(['600000', '600000']);
  });

  it('turns raise_exception into a request failure', () => {
    const raising = { ...config, chat_template: "{{ raise_exception('no system role') }}" };
    const loaded = loadTokenizer(directory('raising', tokenizer, raising));
    expect(() => loaded.renderChat!(messages, plain)).toThrow(expect.objectContaining({ code: 'FC0917' }));
    expect(() => loaded.renderChat!(messages, plain)).toThrow(/no system role/);
  });

  it('refuses a template that does not parse', () => {
    const dir = directory('broken template', tokenizer, { ...config, chat_template: '{% for %}' });
    expect(() => loadTokenizer(dir)).toThrow(expect.objectContaining({ code: 'FC0914' }));
  });
});

describe('bad tokenizers', () => {
  it('names a missing, a broken and an unusable tokenizer.json', () => {
    expect(() => loadTokenizer(scratch)).toThrow(expect.objectContaining({ code: 'FC0914' }));
    expect(() => loadTokenizer(directory('broken', '{', {}))).toThrow(/tokenizer.json is not JSON/);
    const unknown = directory('unknown', { model: { type: 'Magic' } }, {});
    expect(() => loadTokenizer(unknown)).toThrow(expect.objectContaining({ code: 'FC0914' }));
  });

  type Tokens = { model: Record<string, unknown>; added_tokens: unknown[] };
  const { tokenizer: good, config: plainConfig } = byteTokenizer(300, 128);
  const merge =
    (...merges: readonly unknown[]) =>
    (json: Tokens) => {
      json.model['merges'] = merges;
    };
  const add = (token: unknown) => (json: Tokens) => {
    json.added_tokens.push(token);
  };
  const word = (name: string, id: unknown) => (json: Tokens) => {
    json.model['vocab'] = { ...(json.model['vocab'] as object), [name]: id };
  };
  const damages: readonly (readonly [(json: Tokens) => void, string])[] = [
    [(json) => delete json.model['merges'], 'its `model` is BPE and has no list of `merges`'],
    [(json) => delete json.model['vocab'], 'its `model` has no `vocab`'],
    [merge('a b', 3), 'entry 1 of `merges`, 3, is not two tokens with a space between'],
    [merge('a b', ['a', 'c']), 'entry 1 of `merges`, ["a","c"], is not two tokens with a space between'],
    [merge(['a', 'b'], 'a c'), 'entry 1 of `merges`, "a c", is not a pair of tokens as the first one is'],
    [merge('ab'), 'entry 0 of `merges`, "ab", is not two tokens with a space between'],
    [add(null), 'entry 2 of `added_tokens` is no token'],
    [
      add({ id: 299.5, content: 'x' }),
      'entry 2 of `added_tokens` has the id 299.5, which is no whole number from 0',
    ],
    [(json) => (json.model['merges'] = null), 'its `model` is BPE and has no list of `merges`'],
    [add({ id: 1, content: '<x>' }), 'tokens "<|eos|>" and "<x>" both have the id 1'],
    [word('new', 7), 'both have the id 7'],
    [word('new', -1), 'token "new" has the id -1, which is no whole number from 0'],
    [word('new', '9'), 'token "new" has the id "9", which is no whole number from 0'],
    [
      (json) => (json.model = { type: 'Unigram', vocab: [['a', -1], null] }),
      'entry 1 of `vocab` is no token',
    ],
  ];
  it.each(damages.map(([damage, message], i) => ({ damage, message, i })))(
    'says $message',
    ({ damage, message, i }) => {
      const json = JSON.parse(JSON.stringify(good)) as Tokens;
      damage(json);
      const dir = directory(`bad-${i}`, json, plainConfig);
      const failure = expect.objectContaining({
        code: 'FC0914',
        message: expect.stringContaining(`cannot use ${join(dir, 'tokenizer.json')}: `) as unknown,
        details: expect.objectContaining({ help: 'fetch or convert the tokenizer again' }) as unknown,
      }) as unknown;
      expect(() => loadTokenizer(dir)).toThrow(failure);
      expect(() => loadTokenizer(dir)).toThrow(message);
    },
  );

  it('are none where an added token takes over an id of the vocabulary', () => {
    const json = JSON.parse(JSON.stringify(good)) as Tokens;
    const [reserved] = Object.entries(json.model['vocab'] as object).find(([, id]) => id === 299)!;
    add({ id: 299, content: '<|im_end|>', special: true, normalized: false })(json);
    const config = { ...plainConfig, eos_token: '<|im_end|>' };
    const loaded = loadTokenizer(directory('taken over', json, config), 300);
    const plain = loadTokenizer(directory('not taken over', good, plainConfig));
    const text = 'Good day, ';
    expect(loaded.encode(`${text}<|im_end|>${text}`, false)).toEqual([
      ...plain.encode(text, false),
      299,
      ...plain.encode(text, false),
    ]);
    expect(reserved).not.toBe('<|im_end|>');
    expect([loaded.tokenText(299), loaded.decode([299])]).toEqual(['<|im_end|>', '']);
    expect(loaded.stopIds).toEqual([299]);
  });

  it('are none for a null in the place of what may be absent', () => {
    const { tokenizer: json } = byteTokenizer(300, 128) as unknown as { tokenizer: Tokens };
    const vocab = Object.keys(json.model['vocab'] as object).map((name, i) => [name, -i]);
    const unigram = { ...json, model: { type: 'Unigram', unk_id: 0, vocab, merges: null } };
    const loaded = loadTokenizer(directory('unigram', unigram, plainConfig));
    expect(loaded.decode(loaded.encode('abc', false))).toBe('abc');
    const ids = (added: object, name: string): readonly number[] =>
      loadTokenizer(directory(name, { ...json, post_processor: null, ...added }, {})).encode('abc', false);
    const none = ids({ added_tokens: [] }, 'no added tokens');
    expect(ids({ added_tokens: null }, 'null for added tokens')).toEqual(none);
    expect(ids({ added_tokens: undefined }, 'added tokens left out')).toEqual(none);
  });

  it('are refused for an id beyond the vocabulary before tables of that size are made', () => {
    const json = JSON.parse(JSON.stringify(good)) as Tokens;
    add({ id: 2 ** 31, content: '<x>', special: true })(json);
    const dir = directory('beyond', json, plainConfig);
    const before = performance.now();
    expect(() => loadTokenizer(dir, 300)).toThrow(expect.objectContaining({ code: 'FC0915' }));
    expect(performance.now() - before).toBeLessThan(5000);
  });

  it('drops characters that a vocabulary without an unknown token cannot express', () => {
    const { tokenizer, config } = byteTokenizer(90, 128);
    const loaded = loadTokenizer(directory('small', tokenizer, config));
    expect(loaded.encode('A B', true)).toHaveLength(4);
    expect(loaded.encode('AéB', true)).toEqual(loaded.encode('AB', true));
  });

  it('takes stop ids from all configs together', () => {
    const { tokenizer, config } = byteTokenizer(300, 128);
    const dir = directory('stops', tokenizer, config, {
      'generation_config.json': { eos_token_id: [7, 9] },
      'config.json': { eos_token_id: 9 },
    });
    expect(loadTokenizer(dir).stopIds).toEqual([7, 9, 1]);
  });

  it.each([
    ['generation_config.json', 'x', '"x"'],
    ['generation_config.json', [9, -1], '[9,-1]'],
    ['generation_config.json', [null], '[null]'],
    ['generation_config.json', 1.5, '1.5'],
    ['config.json', { id: 1 }, '{"id":1}'],
  ])('refuses stop ids in %s that are none: %j', (file, eos, shown) => {
    const { tokenizer, config } = byteTokenizer(300, 128);
    const dir = directory(`no stops ${shown}`, tokenizer, config, { [file]: { eos_token_id: eos } });
    expect(() => loadTokenizer(dir)).toThrow(
      expect.objectContaining({
        code: 'FC0911',
        message: `\`eos_token_id\` in ${join(dir, file)} is ${shown}; it must be a token id or a list of token ids`,
      }),
    );
  });
});
