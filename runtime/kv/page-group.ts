import type { DeviceBuffer } from '../device/device.js';

/** Where the pages of one layer group lie: page `p` at `p * pageBytes`. */
export interface PageGroup {
  readonly buffer: DeviceBuffer;
  readonly pageBytes: number;
}
