/** Signature help: the arguments of measures, distributions and meshes, with the one that is being written. */
import type { SignatureHelp } from 'vscode-languageserver/node.js';
import { ITEMS, WORDS } from '../../grammar/reference-words.js';
import { positionAt } from './position.js';
import type { Workspace } from './workspace.js';

interface Signature {
  readonly parameters: readonly string[];
  readonly doc: string;
}

const SIGNATURES: Readonly<Record<string, Signature>> = {
  peak: { parameters: ['STAGE', 'DEVICES'], doc: ITEMS['expect']!['peak']!.doc },
  collectives: { parameters: ['STAGE', 'per: layer | step'], doc: ITEMS['expect']!['collectives']!.doc },
  bytes: { parameters: ['FROM -> TO', 'per: token | transition'], doc: ITEMS['expect']!['bytes']!.doc },
  uniform: { parameters: ['LEAST', 'MOST'], doc: WORDS.distributions.uniform },
  normal: { parameters: ['MEAN', 'DEVIATION'], doc: WORDS.distributions.normal },
  lognormal: { parameters: ['MEAN', 'DEVIATION'], doc: WORDS.distributions.lognormal },
  random: { parameters: ['SEED'], doc: 'Random weights of the declared shape.' },
  mesh: { parameters: ['dp: SIZE', 'pp: SIZE', 'tp: SIZE'], doc: ITEMS['stage']!['mesh']!.doc },
};

export function signatureAt(workspace: Workspace, path: string, offset: number): SignatureHelp | undefined {
  const document = workspace.document(path);
  const position = document && positionAt(document.text, document.tokens, offset);
  const open = position?.open.at(-1);
  if (document === undefined || open?.bracket !== '(') return undefined;
  const name = open.head.at(-1) ?? '';
  const signature = Object.hasOwn(SIGNATURES, name) ? SIGNATURES[name]! : undefined;
  if (signature === undefined) return undefined;
  const bracket = document.text.lastIndexOf('(', offset - 1);
  const argument = document.text.slice(bracket + 1, offset).split(',').length - 1;
  const separator = name === 'mesh' ? ' (' : '(';
  return {
    signatures: [
      {
        label: `${name}${separator}${signature.parameters.join(', ')})`,
        documentation: signature.doc,
        parameters: signature.parameters.map((label) => ({ label })),
      },
    ],
    activeSignature: 0,
    activeParameter: Math.min(argument, signature.parameters.length - 1),
  };
}
