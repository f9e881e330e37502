/**
 * Writes docs/grammar.md and the diagrams it shows from the parser's own rules, and docs/properties.md from the reference
 * data and the families of models. `--check` only says whether they agree.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { URL } from 'node:url';
import { format } from 'prettier';
import railroad from 'railroad-diagrams';
import { importSource } from './import-source.mjs';

const { checkFile } = await importSource('compiler/check/check-file.ts');
const { MODEL_FAMILIES } = await importSource('compiler/model/families.ts');
const { productions, tokenText } = await importSource('grammar/productions.ts');
const { defaultOf, PROPERTIES } = await importSource('grammar/reference.ts');

const docs = new URL('../docs/', import.meta.url);
const folder = 'grammar/';

const STYLE = `
path { fill: none; stroke: #57606a; stroke-width: 1.5; }
rect { fill: #f6f8fa; stroke: #57606a; }
text { font: 13px ui-monospace, monospace; text-anchor: middle; fill: #24292f; }
rect.rule { fill: #ddf4ff; }
@media (prefers-color-scheme: dark) {
  path, rect { stroke: #8b949e; }
  rect { fill: #161b22; }
  rect.rule { fill: #12283f; }
  text { fill: #e6edf3; }
}`;

/** The rule in extended Backus-Naur form; `{ }` is any number, `{ }+` at least one, `[ ]` at most one. */
function ebnf(production, inside = false) {
  const part = (inner) => ebnf(inner, true);
  switch (production.kind) {
    case 'token':
      return tokenText(production);
    case 'rule':
      return production.name;
    case 'sequence':
      return production.parts.map(part).join(' ');
    case 'choice': {
      const text = production.parts.map((each) => ebnf(each)).join(' | ');
      return inside ? `( ${text} )` : text;
    }
    case 'optional':
      return `[ ${ebnf(production.part)} ]`;
    case 'repeat':
      return `{ ${ebnf(production.part)} }${production.least === 1 ? '+' : ''}`;
    case 'list': {
      const item = part(production.item);
      const separator = production.by === 'comma' ? '","' : 'separator';
      const items = `${item} { ${separator} ${item} }`;
      return production.least === 1 ? items : `[ ${items} ]`;
    }
  }
}

function diagram(production) {
  switch (production.kind) {
    case 'token':
      return railroad.Terminal(tokenText(production).replaceAll('"', ''));
    case 'rule':
      return railroad.NonTerminal(production.name);
    case 'sequence':
      return railroad.Sequence(...production.parts.map(diagram));
    case 'choice':
      return railroad.Choice(0, ...production.parts.map(diagram));
    case 'optional':
      return railroad.Optional(diagram(production.part));
    case 'repeat':
      return (production.least === 1 ? railroad.OneOrMore : railroad.ZeroOrMore)(diagram(production.part));
    case 'list': {
      const separator =
        production.by === 'comma' ? railroad.Terminal(',') : railroad.NonTerminal('separator');
      return (production.least === 1 ? railroad.OneOrMore : railroad.ZeroOrMore)(
        diagram(production.item),
        separator,
      );
    }
  }
}

function svg(production) {
  return `${railroad
    .Diagram(diagram(production))
    .toString()
    .replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" ')
    .replace('>\n', `>\n<style>${STYLE}\n</style>\n`)
    .replace(/(<rect [^>]*height="22")><\/rect>/g, '$1 class="rule"></rect>')
    .trim()}\n`;
}

const rules = [...productions()];
const files = new Map(rules.map(([name, production]) => [`${folder}${name}.svg`, svg(production)]));
const page = `# Grammar

Made from the parser by \`npm run generate:grammar\`; [productions.test.ts](../test/grammar/productions.test.ts) holds it
to the parser. What the parts mean is in [language.md](language.md).

Words in quotes and rounded boxes stand for themselves. \`name\` is \`[A-Za-z_][A-Za-z0-9_]*\`, keywords included;
\`number\`, \`text\` and \`unit\` are as in [Lexis](language.md#lexis). \`operator\` is one of \`+ - * / < <= > >= == != and or\`.
A \`separator\` is a comma or a line end, any number of them; they may also stand before the first item and after the
last. A line end separates nothing where the line plainly goes on: after an opening bracket, a comma or an operator, and
before a closing bracket, an opening \`{\` or \`[\`, an operator, or a joining word such as \`when\`. The clauses of a head
(\`for\`, \`on\`, \`from\`, \`like\`) may stand in any order. No property is called by a keyword that begins an item of
its block.

${rules
  .map(
    ([name, production]) =>
      `## ${name}\n\n![${name}](${folder}${name}.svg)\n\n\`\`\`ebnf\n${name} = ${ebnf(production)}\n\`\`\`\n`,
  )
  .join('\n')}`;
files.set('grammar.md', await format(page, { parser: 'markdown', printWidth: 120 }));

const NAMES = { kv: '`kv`', overhead: '`overhead`' };
const TYPES = {
  number: 'number',
  text: 'text',
  truth: '`true` or `false`',
  tiers: 'chain of places',
  length: 'tokens, or a distribution of them',
  requests: 'requests, or a file',
};
/** What the first unit of a quantity measures. */
const MEASURED = {
  GiB: 'bytes',
  'GiB/s': 'bytes per second',
  us: 'time',
  tokens: 'tokens',
  requests: 'requests',
  '%': 'share',
};

function typeOf(value) {
  if (value.kind === 'quantity')
    return [MEASURED[value.units[0]], value.units.map((unit) => `\`${unit}\``).join(' ')];
  if (value.kind === 'words') return ['word', value.words.map((word) => `\`${word}\``).join(' ')];
  if (value.kind === 'record') {
    const keys = value.keys.length === 0 ? 'numbers' : value.keys.map((key) => `\`${key}\``).join(' ');
    return ['record', `${keys}: ${value.units.map((unit) => `\`${unit}\``).join(' ')}`];
  }
  return [
    TYPES[value.kind],
    ['length', 'requests'].includes(value.kind)
      ? `\`${value.kind === 'length' ? 'tokens' : 'requests'}\``
      : '',
  ];
}

const table = (heads, rows) =>
  [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** The shape of a model that says only what it must. */
function familyShape(family) {
  const text = `model m { family: ${family}, layers: 32, hidden: 4096, heads: 32, ffn: 8192, vocab: 1000, context: 8192 tokens }
device d { memory: 900 GB, bandwidth: 1 TB/s, compute: { f16: 1 TFLOPS } }
topology t { gpu[1]: d }
plan p for m on t { stage serve: prefill + decode on gpu { mesh (tp: 1) } }`;
  const host = {
    readText: () => text,
    resolve: (_, name) => name,
    readModelConfig: () => ({ kind: 'missing' }),
  };
  return checkFile(host, 'family.plan').plans[0].model.shape;
}

const properties = `# Properties

Made from the data of the editors by \`npm run generate:grammar\`; tests hold that to the checker: to its properties, and to
the values that it takes where one is left out. What the blocks mean is in [language.md](language.md).

${Object.entries(PROPERTIES)
  .map(
    ([block, docs]) =>
      `## ${NAMES[block] ?? block[0].toUpperCase() + block.slice(1)}\n\n${table(
        ['property', 'type', 'units, words or keys', 'default', 'meaning', 'such as'],
        Object.entries(docs).map(([name, doc]) => [
          `\`${name}\``,
          ...typeOf(doc.value),
          defaultOf(doc) ?? '**required**',
          doc.doc,
          `\`${doc.value.kind === 'words' ? doc.value.words[0] : doc.value.example}\``,
        ]),
      )}\n`,
  )
  .join('\n')}
The properties of a model that make up its shape are required where it has no \`source\`, and cannot be given where it has
one, \`context\` apart.

## Defaults of the families

Of a model of 4096 hidden with 32 heads:

${table(
  ['family', 'head_dim', 'norm_eps', 'rope_theta', 'window', 'attention_softcap', 'logit_softcap', 'tied'],
  MODEL_FAMILIES.map(({ name }) => {
    const { headDim, normEps, ropeTheta, sliding, attentionSoftcap, logitSoftcap, tied } = familyShape(name);
    return [
      `\`${name}\``,
      headDim,
      normEps,
      ropeTheta,
      sliding ? `${sliding.window} tokens` : '',
      attentionSoftcap ?? '',
      logitSoftcap ?? '',
      tied,
    ];
  }),
)}
`;
files.set('properties.md', await format(properties, { parser: 'markdown', printWidth: 120 }));

const existing = existsSync(new URL(folder, docs)) ? readdirSync(new URL(folder, docs)) : [];
const stale = existing.map((name) => folder + name).filter((name) => !files.has(name));
if (process.argv.includes('--check')) {
  const differs = ([name, text]) =>
    !existsSync(new URL(name, docs)) || readFileSync(new URL(name, docs), 'utf8') !== text;
  const old = [...stale, ...[...files].filter(differs).map(([name]) => name)];
  if (old.length > 0) {
    console.error(
      `out of date, run \`npm run generate:grammar\`: ${old.map((name) => `docs/${name}`).join(', ')}`,
    );
    process.exitCode = 1;
  }
} else {
  mkdirSync(new URL(folder, docs), { recursive: true });
  for (const name of stale) rmSync(new URL(name, docs));
  for (const [name, text] of files) writeFileSync(new URL(name, docs), text);
}
