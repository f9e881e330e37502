/**
 * Child process of the adapter check: asks Dawn for an adapter and a device and reports over the process channel,
 * because Dawn itself logs to stdout. A driver that crashes takes only this process down.
 */
import { create } from 'webgpu';

// Dawn crashes when the object that `create` returned is collected while a device lives.
const gpu = create([]);
const adapter = await gpu.requestAdapter();
let report = { found: false };
if (adapter) {
  const { description, device, vendor, architecture } = adapter.info;
  const name = description || device || `${vendor} ${architecture}`.trim() || 'unnamed adapter';
  const opened = await adapter.requestDevice();
  opened.destroy();
  report = { found: true, name };
}
process.send(report, () => process.exit(0));
