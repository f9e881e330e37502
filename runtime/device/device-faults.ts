/** What goes wrong on a device behind the back of whoever asked for work: errors that nobody captures, and its loss. */
import { RuntimeFailure } from '../failure.js';

export interface DeviceFaults {
  /** Why the device was lost, once it is; never resolves when it is left on purpose. */
  readonly lost: Promise<string>;
  /**
   * Awaits work of the device. Rejects with an error that came up since the last call in place of the work's own, and with
   * FC0902 once the device is lost.
   */
  readonly settle: <T>(work: Promise<T>) => Promise<T>;
  /** The device is about to be destroyed on purpose. */
  leave(): void;
}

/** Milliseconds by which the reason of a loss may come after the failures that it causes. */
const REASON_DELAY = 10;

export function watchFaults(
  device: Pick<GPUDevice, 'lost' | 'addEventListener'>,
  label: string,
): DeviceFaults {
  let left = false;
  let lostReason: string | undefined;
  let fault: Error | undefined;
  device.addEventListener('uncapturederror', (event) => {
    fault ??= uncaptured((event as GPUUncapturedErrorEvent).error, label);
  });
  const lost = new Promise<string>((resolve) => {
    void device.lost.then((info) => {
      if (left) return;
      lostReason = info.message.trim() || info.reason;
      resolve(lostReason);
    });
  });
  const takeFault = (): Error => {
    const error = fault!;
    fault = undefined;
    return error;
  };
  return {
    lost,
    async settle(work) {
      let result;
      try {
        result = await work;
      } catch (error) {
        if (fault !== undefined) throw takeFault();
        await new Promise((resolve) => setTimeout(resolve, REASON_DELAY));
        throw lostReason !== undefined ? deviceLost(label, lostReason, error) : error;
      }
      if (fault !== undefined) throw takeFault();
      if (lostReason !== undefined) throw deviceLost(label, lostReason);
      return result;
    },
    leave: () => (left = true),
  };
}

function uncaptured(error: GPUError, label: string): Error {
  if (error instanceof GPUOutOfMemoryError) {
    return new RuntimeFailure('FC0903', `${label} ran out of memory: ${error.message}`, { subject: label });
  }
  return new Error(`WebGPU error on ${label}: ${error.message}`);
}

function deviceLost(label: string, reason: string, cause?: unknown): RuntimeFailure {
  return new RuntimeFailure('FC0902', `${label} was lost: ${reason}`, {
    subject: label,
    ...(cause === undefined ? {} : { cause }),
  });
}
