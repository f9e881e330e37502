/** Reading plan text in tests: what was parsed, and problems as one line each. */
import { expect } from 'vitest';
import { lineMap } from '../../grammar/line-map.js';
import { parse } from '../../grammar/parse.js';
import type { SyntaxProblem } from '../../grammar/parse.js';
import { printExpr, printSyntax } from '../../grammar/print-syntax.js';
import type { Expr, PlanDecl } from '../../grammar/syntax.js';

/** Problems as `CODE line "the marked text": message`. */
export function show(text: string, errors: readonly SyntaxProblem[]): string[] {
  const lines = lineMap(text);
  return errors.map(({ code, span, message }) => {
    const marked = JSON.stringify(text.slice(span.start, span.end));
    return `${code} ${lines.position(span.start).line} ${marked}: ${message}`;
  });
}

/** The dump of a text without its first line; the text must have no problems. */
export function dump(text: string): string {
  const { file, errors } = parse(text, 'test.plan');
  expect(show(text, errors)).toEqual([]);
  return printSyntax(file).split('\n').slice(1).join('\n').trimEnd();
}

/** A value read as a property of a model. */
export function value(text: string): Expr {
  const source = `model m {\n  v: ${text}\n}`;
  const { file, errors } = parse(source, 'test.plan');
  expect(show(source, errors)).toEqual([]);
  const [model] = file.items;
  if (model?.kind !== 'model') throw new Error('no model');
  const [property] = model.members;
  if (property?.kind !== 'property') throw new Error('no property');
  return property.value;
}

export function printedValue(text: string): string {
  return printExpr(value(text));
}

/** Members of a stage in a sound plan, as dumped. */
export function stageMembers(text: string): string[] {
  const lines = dump(`plan p for m on t {\n stage decode on gpu {\n${text}\n}\n}`).split('\n');
  return lines.slice(2).map((line) => line.slice(6));
}

/** The plan of that name in a text, whatever its problems. */
export function planNamed(text: string, name: string): PlanDecl | undefined {
  const { file } = parse(text, 'test.plan');
  return file.items.find((item): item is PlanDecl => item.kind === 'plan' && item.name.text === name);
}
