import { describe, expect, it } from 'vitest';
import { shapeFromConfig } from '../../../compiler/model/config.js';
import type { ModelShape } from '../../../compiler/model/shape.js';
import { validateShape } from '../../../runtime/weights/validate-model.js';
import { clerkConfig } from '../../compiler/check/memory-host.js';

const directory = { configPath: 'm/config.json', configJson: clerkConfig };

function shape(context?: number): ModelShape {
  const answer = shapeFromConfig(clerkConfig, context);
  if (answer.kind !== 'shape') throw new Error('the demo model has a shape');
  return answer.shape;
}

describe('validateShape', () => {
  it('accepts a plan that uses less of the context than the model has', () => {
    expect(() => validateShape(shape(), directory)).not.toThrow();
    expect(() => validateShape(shape(100), directory)).not.toThrow();
  });

  it('refuses a plan that uses more, and one of another model', () => {
    const failure = expect.objectContaining({ code: 'FC0919' }) as unknown;
    expect(() => validateShape({ ...shape(), context: 513 }, directory)).toThrow(failure);
    expect(() => validateShape({ ...shape(), sliding: { window: 8, layers: [0] } }, directory)).toThrow(
      /sliding none instead of \{"layers":\[0\],"window":8\}/,
    );
  });
});
