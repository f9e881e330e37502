import type { Device } from '../../../runtime/device/device.js';
import { memoryDevice } from './memory-device.js';

/** A memory device whose next writes go wrong in the byte with this index, once `flip` is called. */
export function flippingDevice(): { readonly device: Device; flip(byte: number): void } {
  const device = memoryDevice('gpu[0]');
  let flipped: number | undefined;
  const write: Device['write'] = (buffer, offset, data) => {
    const sent = data.slice();
    if (flipped !== undefined && flipped < sent.length) sent[flipped]! ^= 0x10;
    device.write(buffer, offset, sent);
  };
  return { device: { ...device, write }, flip: (byte) => (flipped = byte) };
}

/** What a promise rejects with; undefined when it does not. */
export const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );
