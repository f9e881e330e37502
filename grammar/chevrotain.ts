/**
 * What the grammar uses of Chevrotain, in one place: the build puts the library's own single file here, which loads in
 * a tenth of the time that its hundreds of modules take.
 */
export {
  Alternation,
  Alternative,
  createToken,
  createTokenInstance,
  CstParser,
  Lexer,
  NonTerminal,
  Option,
  Repetition,
  RepetitionMandatory,
  Terminal,
} from 'chevrotain';
