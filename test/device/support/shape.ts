import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { shapeFromConfig } from '../../../compiler/model/config.js';
import type { ModelShape } from '../../../compiler/model/shape.js';

/** Shape of a model directory whose config.json the compiler supports. */
export function shapeOf(directory: string): ModelShape {
  const answer = shapeFromConfig(JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')));
  if (answer.kind !== 'shape') throw new Error(JSON.stringify(answer.problems));
  return answer.shape;
}
