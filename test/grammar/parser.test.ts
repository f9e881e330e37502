import { describe, expect, it } from 'vitest';
import { PlanParser } from '../../grammar/parser.js';

describe('the grammar', () => {
  it('passes the validations of the parser library', () => {
    expect(() => new PlanParser(false)).not.toThrow();
  });
});
