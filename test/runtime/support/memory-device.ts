import type { CommandList, Device, DeviceBuffer } from '../../../runtime/device/device.js';

/** A device of plain memory: buffers, copies, writes and reads as on a real one, no kernels. */
export function memoryDevice(label = 'memory'): Device & { readonly live: () => readonly DeviceBuffer[] } {
  const contents = new Map<DeviceBuffer, Uint8Array>();
  const bytesOf = (buffer: DeviceBuffer): Uint8Array => {
    const bytes = contents.get(buffer);
    if (bytes === undefined) throw new Error(`${buffer.label} is not a live buffer`);
    return bytes;
  };
  const memory = { live: 0, peak: 0, plannedPeak: 0 };
  const spare = new Set<DeviceBuffer>();
  const hold = (buffer: DeviceBuffer): void => {
    contents.set(buffer, new Uint8Array(buffer.bytes));
    memory.live += buffer.bytes;
    memory.peak = Math.max(memory.peak, memory.live);
    const ofSpare = [...spare].reduce((sum, { bytes }) => sum + bytes, 0);
    memory.plannedPeak = Math.max(memory.plannedPeak, memory.live - ofSpare);
  };
  const commands: CommandList = {
    dispatch: () => {
      throw new Error('a memory device has no kernels');
    },
    copy(from, fromOffset, to, toOffset, bytes) {
      if (from === to) throw new Error('a copy within one buffer is not allowed');
      if (toOffset + bytes > to.bytes || fromOffset + bytes > from.bytes)
        throw new RangeError('copy out of bounds');
      bytesOf(to).set(bytesOf(from).subarray(fromOffset, fromOffset + bytes), toOffset);
    },
    copyRows({ from, fromAt, fromStride, to, toAt, toStride, runBytes, rows }) {
      for (let row = 0; row < rows; row++) {
        const [first, at] = [fromAt + row * fromStride, toAt + row * toStride];
        if (first + runBytes > from.bytes || at + runBytes > to.bytes)
          throw new RangeError('copy out of bounds');
        bytesOf(to).set(bytesOf(from).slice(first, first + runBytes), at);
      }
    },
    clear: (buffer, offset, bytes) => void bytesOf(buffer).fill(0, offset, offset + bytes),
  };
  return {
    label,
    limits: {
      maxBufferBytes: 1 << 28,
      maxBindingBytes: 1 << 27,
      offsetAlignment: 256,
      maxWorkgroupsPerDimension: 0,
      subgroupSize: 0,
      features: new Set(),
    },
    lost: new Promise(() => undefined),
    createBuffer(name, bytes, isSpare = false) {
      const buffer = { label: name, bytes };
      if (isSpare) spare.add(buffer);
      hold(buffer);
      return buffer;
    },
    createRowScratch(name, bytes) {
      const scratch = { label: name, bytes, rowBytes: 64 };
      hold(scratch);
      return scratch;
    },
    createKernel: () => Promise.reject(new Error('a memory device has no kernels')),
    bind: () => {
      throw new Error('a memory device has no kernels');
    },
    write: (buffer, offset, data) => bytesOf(buffer).set(data, offset),
    record: (build) => build(commands),
    read: (ranges) =>
      Promise.resolve(
        ranges.map(({ buffer, offset, bytes }) => {
          if (offset + bytes > buffer.bytes) throw new RangeError('read out of bounds');
          return bytesOf(buffer).slice(offset, offset + bytes);
        }),
      ),
    async readThrough(build, ranges, visit) {
      build(commands);
      const parts = await this.read(ranges);
      visit(Uint8Array.from(parts.flatMap((part) => [...part])));
    },
    idle: () => Promise.resolve(),
    free(buffer) {
      bytesOf(buffer);
      contents.delete(buffer);
      spare.delete(buffer);
      memory.live -= buffer.bytes;
    },
    memory,
    destroy: () => undefined,
    live: () => [...contents.keys()],
  };
}
