/** FC04: topology and placement. */
import { devicesWord, error, named, warning } from './entry.js';

export const TOPOLOGY = {
  'unknown-place': error<{ place: string; where: string }>(
    'FC0401',
    ({ place, where }) => `${where} has no \`${place}\``,
  ),
  'index-out-of-range': error<{ place: string; index: string; count: number }>(
    'FC0402',
    ({ place, index, count }) =>
      `\`${place}[${index}]\` is outside \`${place}\`, which has ${count} (0 to ${count - 1})`,
  ),
  'no-devices': error<{ topology: string }>(
    'FC0403',
    ({ topology }) => `${named('topology', topology)} has no devices`,
  ),
  'no-route': error<{ movement: string; from: string; to: string }>(
    'FC0404',
    ({ movement, from, to }) => `there is no route from ${from} to ${to} for ${movement}`,
  ),
  'mesh-size': error<{ stage: string; mesh: string; ranks: number; devices: number }>(
    'FC0405',
    ({ stage, mesh, ranks, devices }) =>
      `the mesh of ${stage === '' ? 'this stage' : `\`${stage}\``} (${mesh}) has ${ranks} rank${ranks === 1 ? '' : 's'} but the stage stands on ${devicesWord(devices)}`,
  ),
  'fill-not-whole': error<{ axis: string; devices: number; rest: number }>(
    'FC0406',
    ({ axis, devices, rest }) =>
      `\`${axis}: fill\` finds no whole size: ${devicesWord(devices)} cannot be shared by ${rest}`,
  ),
  'axis-repeated': error<{ axis: string }>('FC0407', ({ axis }) => `the mesh names \`${axis}\` twice`),
  'two-fills': error<{ axes: readonly string[] }>(
    'FC0408',
    ({ axes }) => `only one axis can be \`fill\`; here ${axes.map((a) => `\`${a}\``).join(' and ')} are`,
  ),
  'stage-overlap': error<{ first: string; second: string; shared: number }>(
    'FC0409',
    ({ first, second, shared }) =>
      `stages \`${first}\` and \`${second}\` share ${shared} of their devices but not all; they must stand on the same devices or on none in common`,
  ),
  'stage-without-devices': error<{ stage: string }>(
    'FC0410',
    ({ stage }) => `${named('stage', stage)} does not say which devices it is on`,
  ),
  'stage-without-mesh': error<{ stage: string; devices: number }>(
    'FC0411',
    ({ stage, devices }) => `${named('stage', stage)} has no mesh over its ${devicesWord(devices)}`,
  ),
  'weights-do-not-fit': error<{ stage: string; needed: string; budget: string; device: string }>(
    'FC0412',
    ({ stage, needed, budget, device }) =>
      `the weights of ${named('stage', stage)} need ${needed} on a device, and ${device} has ${budget} to use`,
  ),
  'duplicate-link': error<{ from: string; to: string }>(
    'FC0413',
    ({ from, to }) => `the link between \`${from}\` and \`${to}\` is declared twice`,
  ),
  'no-mesh-fits': error<{ stage: string; devices: number }>(
    'FC0414',
    ({ stage, devices }) =>
      `\`mesh auto\` finds no mesh of ${devicesWord(devices)} that ${named('stage', stage)} fits on`,
  ),
  'not-a-device': error<{ place: string; is: string }>(
    'FC0415',
    ({ place, is }) => `\`${place}\` is a ${is}; devices are needed here`,
  ),
  'no-stages': error<{ plan: string }>('FC0416', ({ plan }) => `${named('plan', plan)} has no stage`),
  'no-model': error<{ plan: string; needed: string }>(
    'FC0417',
    ({ plan, needed }) => `plan \`${plan}\` does not say ${needed}`,
  ),
  'no-way-back': error<{ place: string }>(
    'FC0418',
    ({ place }) => `a link between two \`${place}\` is the same both ways: it has no \`bandwidth_back\``,
  ),
  'device-repeated': error<{ device: string }>('FC0419', ({ device }) => `\`${device}\` stands here twice`),
  'exchange-not-used': warning<{ property: string; from: string; to: string }>(
    'FC0420',
    ({ property, from, to }) =>
      `\`${property}\` counts for nothing: the link between \`${from}\` and \`${to}\` joins no devices with devices`,
  ),
};
