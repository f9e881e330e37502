/** The f64 reference of a model whose weights are quantised: the same decoder on what the packed blocks stand for. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tableType, type QuantisedType, type WeightType } from '../../../compiler/model/weight-types.js';
import { quantise } from '../../../runtime/weights/quantise.js';
import { decodeBlocks } from '../../fixtures/blocks.js';
import { referenceConfig } from '../../reference/config.js';
import { referenceFromTensors, type ReferenceModel } from '../../reference/model.js';
import { directoryTensors, type TensorProvider } from '../../reference/tensors.js';

/** The model of a directory with matrices as `weights` has them; vectors stay as they are. */
export function quantisedReference(directory: string, weights: QuantisedType): ReferenceModel {
  const config = referenceConfig(JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')));
  return referenceFromTensors(config, quantisedTensors(directoryTensors(directory), weights));
}

function quantisedTensors(tensors: TensorProvider, weights: QuantisedType): TensorProvider {
  return (name) => {
    const found = tensors(name);
    if (found === undefined || found.shape.length < 2) return found;
    const cols = found.shape[1]!;
    const type = /embed_tokens|lm_head/.test(name) ? tableType(weights) : weights;
    return { shape: found.shape, values: throughBlocks(Float32Array.from(found.values), cols, type) };
  };
}

function throughBlocks(values: Float32Array, cols: number, type: WeightType): Float64Array {
  if (type !== 'int8' && type !== 'int4') throw new Error(`${type} has no blocks`);
  return decodeBlocks(type, quantise(values, cols, type), cols);
}
