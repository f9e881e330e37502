/**
 * A Prettier plugin for plan files: `prettier --plugin fulcrum/prettier file.plan` writes what `fulcrum fmt` writes. The
 * layout is canonical, so Prettier's options have no say in it.
 */
import { formatPlan } from '../../grammar/format.js';

/** A plan file as Prettier hands it around: its formatted text. */
interface PlanText {
  readonly type: 'plan';
  readonly text: string;
  readonly end: number;
}

export const languages = [{ name: 'Fulcrum plan', parsers: ['fulcrum-plan'], extensions: ['.plan'] }];

export const parsers = {
  'fulcrum-plan': {
    astFormat: 'fulcrum-plan',
    /** Throws a SyntaxError with Prettier's `loc` at the first error of a file. */
    parse(text: string): PlanText {
      const formatted = formatPlan(text, 'file');
      if (formatted.kind === 'formatted') return { type: 'plan', text: formatted.text, end: text.length };
      const { message, span } = formatted.errors[0]!;
      throw Object.assign(new SyntaxError(message), { loc: { start: positionOf(text, span.start) } });
    },
    locStart: () => 0,
    locEnd: ({ end }: PlanText) => end,
  },
};

export const printers = {
  'fulcrum-plan': {
    print: ({ node }: { readonly node: PlanText }): string => node.text,
  },
};

/** Line and column from 1. */
function positionOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: before.at(-1)!.length + 1 };
}
