/**
 * A compute device as the executor sees it. The Dawn backend in this process implements it today; a backend with one
 * process per GPU can implement it later, so nothing here hands out a WebGPU object: buffers and kernels are opaque
 * handles, and work is submitted as recorded command lists.
 */

export interface DeviceBuffer {
  readonly label: string;
  readonly bytes: number;
}

/** Memory that copies of rows go by way of. */
export interface RowScratch {
  readonly label: string;
  readonly bytes: number;
  /** No longer run than this is copied at once. */
  readonly rowBytes: number;
}

/**
 * Rows to copy: run i of `runBytes` bytes lies at `fromAt + i * fromStride` and goes to `toAt + i * toStride`. Bytes,
 * multiples of 4.
 */
export interface RowCopy {
  readonly from: DeviceBuffer;
  readonly fromAt: number;
  readonly fromStride: number;
  readonly to: DeviceBuffer;
  readonly toAt: number;
  readonly toStride: number;
  readonly runBytes: number;
  readonly rows: number;
}

/** A compiled kernel. */
export interface DeviceKernel {
  readonly key: string;
}

/** A kernel with its operands bound; made once per plan, dispatched every step. */
export interface BoundKernel {
  readonly kernel: DeviceKernel;
}

export interface BufferRange {
  readonly buffer: DeviceBuffer;
  /** Bytes; a multiple of `DeviceLimits.offsetAlignment`. */
  readonly offset?: number;
  readonly bytes?: number;
}

export interface DeviceLimits {
  readonly maxBufferBytes: number;
  readonly maxBindingBytes: number;
  readonly offsetAlignment: number;
  readonly maxWorkgroupsPerDimension: number;
  readonly subgroupSize: number;
  readonly features: ReadonlySet<string>;
}

/** Source of a kernel; see `runtime/kernels/kernel.ts`. */
export interface KernelSource {
  readonly key: string;
  readonly wgsl: string;
  /** Access of each binding of group 0, in binding order. */
  readonly bindings: readonly ('read' | 'read_write')[];
  /** Number of u32 immediates given with each dispatch. */
  readonly immediates: number;
  /**
   * Words the device appends to the immediates of every dispatch (sizes, strides, epsilons). Kernels that differ in
   * these alone share one pipeline.
   */
  readonly constants?: readonly number[];
}

/**
 * Records commands in order. Dispatches share a compute pass until a copy ends it. Nothing runs before `submit`.
 */
export interface CommandList {
  dispatch(kernel: BoundKernel, immediates: Uint32Array, grid: readonly [number, number, number]): void;
  copy(from: DeviceBuffer, fromOffset: number, to: DeviceBuffer, toOffset: number, bytes: number): void;
  /**
   * Copies rows at the rate of long ones, however short they are. Within one buffer too, as long as no run lands where one
   * of the copy is read.
   */
  copyRows(copy: RowCopy, scratch: RowScratch): void;
  /** Sets bytes to zero; offset and length are multiples of 4. */
  clear(buffer: DeviceBuffer, offset: number, bytes: number): void;
}

export interface Device {
  readonly label: string;
  readonly limits: DeviceLimits;
  /** Resolves with a reason when the device is lost for any cause but `destroy`. */
  readonly lost: Promise<string>;
  /**
   * Storage buffer, zero-filled. Throws RuntimeFailure when the device refuses the size.
   *
   * @param isSpare whether it is of memory that no plan counts on, and is there only because that was left
   */
  createBuffer(label: string, bytes: number, isSpare?: boolean): DeviceBuffer;
  /** Memory for `copyRows`: about so many bytes, a row at least. */
  createRowScratch(label: string, bytes: number): RowScratch;
  /**
   * Compiles, or returns the kernel with the same key. Rejects with the WGSL diagnostics. A kernel may be run once
   * with all immediates zero to have it compiled: with no rows it must do nothing.
   */
  createKernel(source: KernelSource): Promise<DeviceKernel>;
  bind(kernel: DeviceKernel, ranges: readonly BufferRange[]): BoundKernel;
  /** Ordered with submits: work submitted before sees the old bytes, work submitted after the new ones. */
  write(buffer: DeviceBuffer, offset: number, data: Uint8Array): void;
  record(build: (commands: CommandList) => void): void;
  /**
   * Copies ranges out after all work submitted so far, and resolves with their bytes in order (one contiguous
   * Uint8Array per range, owned by the caller). Uses a ring of mapped staging buffers.
   */
  read(
    ranges: readonly { readonly buffer: DeviceBuffer; readonly offset: number; readonly bytes: number }[],
  ): Promise<Uint8Array[]>;
  /**
   * Submits what `build` records together with copies of the ranges, and gives `visit` their bytes, one range after the
   * other, in staging memory that it must not keep: what a large read saves is a copy. Offsets and sizes are multiples
   * of 4; resolves when `visit` has returned.
   */
  readThrough(
    build: (commands: CommandList) => void,
    ranges: readonly { readonly buffer: DeviceBuffer; readonly offset: number; readonly bytes: number }[],
    visit: (bytes: Uint8Array) => void,
  ): Promise<void>;
  /** Resolves when all submitted work has finished. */
  idle(): Promise<void>;
  free(memory: DeviceBuffer | RowScratch): void;
  /** Bytes of live buffers, the most there ever were, and the most without those of spare memory. */
  readonly memory: { readonly live: number; readonly peak: number; readonly plannedPeak: number };
  destroy(): void;
}
