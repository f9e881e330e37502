/** The arena that the weights of a device lie in, as planned, and their places in it. */
import type { Spot, WeightArena } from '../../compiler/ir/weight-arena.js';
import type { Device, DeviceBuffer } from '../device/device.js';

/** A weight's place: `bytes` from `offset` of an arena buffer. */
export interface Place {
  readonly buffer: DeviceBuffer;
  readonly offset: number;
  readonly bytes: number;
}

/** Allocates the buffers of an arena. Answers where a spot of it is. */
export function openArena(device: Device, { bufferBytes }: WeightArena): (spot: Spot) => Place {
  const buffers = bufferBytes.map((bytes, i) => device.createBuffer(`weights ${i}`, Math.max(16, bytes)));
  return ({ buffer, offset, bytes }) => ({ buffer: buffers[buffer]!, offset, bytes });
}
