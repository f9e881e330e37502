/** Topology and link use: what is drawn of many devices, and bytes against arithmetic and a simulation. */
import { describe, expect, it } from 'vitest';
import { isBox, nodesOf, type DiagramNode } from '../../../cli/graph/diagram.js';
import { plannedUse } from '../../../cli/graph/link-use.js';
import { topologyDiagram } from '../../../cli/graph/topology.js';
import { formatBytes } from '../../../cli/format.js';
import { simulate } from '../../../runtime/clock/simulate.js';
import { compileText, pod } from './support.js';

const one = compileText(pod(2), 'turns');

function linkNodes(diagram: ReturnType<typeof topologyDiagram>, title: string): readonly DiagramNode[] {
  return nodesOf(diagram.items).filter((node) => node.title === title);
}

describe('a topology', () => {
  it('has each of a few devices with its place in every mesh', () => {
    const { items } = topologyDiagram(one.plan, one.compiled);
    const devices = nodesOf(items).filter(({ kind }) => kind === 'device');
    expect(devices).toHaveLength(16);
    expect(devices[11]).toMatchObject({
      title: 'gpu[3]: h100',
      lines: ['prefill: dp 1, pp 1, tp 1', 'decode: dp 1, tp 3', expect.stringMatching(/ GiB of 67\.1 GiB$/)],
    });
  });

  it('has many devices as classes with counts', () => {
    const { plan, compiled } = compileText(pod(8), 'apart');
    const { items, edges } = topologyDiagram(plan, compiled);
    expect(items.filter(isBox).map(({ title }) => title)).toEqual([
      'node[0..3] (4 alike)',
      'node[4..7] (4 alike)',
    ]);
    const devices = nodesOf(items).filter(({ kind }) => kind === 'device');
    expect(devices.map(({ title, lines }) => [title, lines[0]])).toEqual([
      ['gpu[0..7]: h100', 'prefill'],
      ['gpu[0..7]: h100', 'decode'],
    ]);
    expect(edges.length).toBeLessThan(16);
  });

  it('has the most that one of many devices takes where they differ, and all of them in one', () => {
    const peaksOf = (text: string): readonly string[] => {
      const { plan, compiled } = compileText(text, 'turns');
      return nodesOf(topologyDiagram(plan, compiled).items)
        .filter(({ kind }) => kind === 'device')
        .map(({ lines }) => lines.at(-1)!);
    };
    const { runtime } = compileText(pod(4), 'turns').compiled;
    const [least, most] = [Math.min, Math.max].map((pick) =>
      formatBytes(pick(...runtime.devices.map(({ peak }) => peak.total))),
    );
    expect(least).not.toBe(most);
    expect(peaksOf(pod(4))).toEqual([`up to ${most} of 67.1 GiB`]);
    // Without a pipeline all of them hold and do the same.
    const alike = pod(4).replace('mesh (dp: fill, pp: 4, tp: 2)', 'mesh (dp: fill, tp: 8)');
    expect(peaksOf(alike)).toEqual([expect.stringMatching(/^[\d.]+ GiB of 67\.1 GiB$/)]);
  });

  it('says at each group only what its own devices do', () => {
    const { plan, compiled } = compileText(pod(4), 'apart');
    const links = linkNodes(topologyDiagram(plan, compiled), 'gpu <-> gpu');
    expect(links.map(({ lines }) => lines.filter((line) => line.startsWith('step of')).length)).toEqual([
      1, 1,
    ]);
    expect(links[0]!.lines[1]).toMatch(/^step of prefill/);
    expect(links[1]!.lines[1]).toMatch(/^step of decode/);
  });

  it('has at each link what crosses it in its own place', () => {
    // A pipeline over both nodes, four stages in each; decode has a replica in each.
    const text = pod(2).replace('mesh (dp: fill, pp: 4, tp: 2)', 'mesh (pp: 8, tp: 2)');
    const { plan, compiled } = compileText(text, 'turns');
    const use = plannedUse(plan, compiled);
    const diagram = topologyDiagram(plan, compiled);
    const drawn = (title: string): readonly (readonly string[])[] =>
      linkNodes(diagram, title).map(({ lines }) => lines.slice(1));
    const tokenBytes = 2 * 16 * 8 * 128 * 2;
    const half = `KV prefill -> decode, a token: ${tokenBytes / 2 / 1024}.0 KiB`;
    for (const lines of drawn('gpu <-> host')) {
      expect(lines.slice(0, 2)).toEqual([`${half}, gpu to host`, `${half}, host to gpu`]);
      expect(lines).toHaveLength(4);
    }
    // Half of every token's lies with the other host.
    expect(drawn('node <-> node')[0]).toContain(half);
    const [decode, prefill] = [/^step of decode/, /^step of prefill/].map((what) =>
      use.filter((each) => what.test(each.what) && each.link.endsWith('gpu <-> gpu')),
    );
    expect(decode!.map(({ instance }) => instance)).toEqual(['node[0]', 'node[1]']);
    expect(new Set(decode!.map(({ bytes }) => bytes)).size).toBe(1);
    const sent = use.find(
      ({ what, link }) => what.startsWith('step of prefill') && link === 'node <-> node',
    )!;
    // Of seven hand-overs one is between the nodes and three are in each.
    const sums = prefill!.map(({ bytes }) => bytes - 3 * sent.bytes);
    expect(sums[0]).toBeGreaterThan(0);
    expect(prefill).toHaveLength(2);
    expect(drawn('gpu <-> gpu').map((lines) => lines.filter((line) => line.startsWith('step')))).toEqual(
      prefill!.map((each, node) => [
        `${each.what}: ${formatBytes(each.bytes)}`,
        `${decode![node]!.what}: ${formatBytes(decode![node]!.bytes)}`,
      ]),
    );
  });

  it('has the most that one place has where places that are drawn once differ', () => {
    const spread = (first: string): readonly string[] => {
      const text = pod(4).replace('mesh (dp: fill, pp: 4, tp: 2)', `mesh (${first})`);
      const { plan, compiled } = compileText(text, 'turns');
      const [link] = linkNodes(topologyDiagram(plan, compiled), 'gpu <-> gpu');
      const [most, least] = [Math.max, Math.min].map((pick) => {
        const use = plannedUse(plan, compiled).filter(
          ({ what, link: name }) => what.startsWith('step of prefill') && name.endsWith('gpu <-> gpu'),
        );
        return formatBytes(pick(...use.map(({ bytes }) => bytes)));
      });
      return [link!.lines[1]!.replace(/^.*: /, ''), most!, least!];
    };
    const [even, same, least] = spread('dp: fill, pp: 4, tp: 2');
    expect([even, least]).toEqual([same, same]);
    const [uneven, most, other] = spread('pp: 16, tp: 2');
    expect(uneven).toBe(`up to ${most}`);
    expect(other).not.toBe(most);
  });

  it('tells places apart that a link treats unlike', () => {
    const text = pod(4).replace(
      '    link gpu <-> host',
      '    link gpu[0..3] <-> nvme { bandwidth: 1 GB/s, latency: 1 us }\n    link gpu <-> host',
    );
    const { plan, compiled } = compileText(text, 'turns');
    const { items } = topologyDiagram(plan, compiled);
    const devices = nodesOf(items).filter(({ kind }) => kind === 'device');
    expect(devices.map(({ title }) => title)).toEqual(['gpu[0..3]: h100', 'gpu[4..7]: h100']);
  });

  it('has link use of a simulation where there is one', () => {
    const requests = Array.from({ length: 20 }, () => ({ promptTokens: 300, outputTokens: 20 }));
    const simulation = simulate(one.compiled.runtime, one.plan, requests);
    const diagram = topologyDiagram(one.plan, one.compiled, { workload: 'some', simulation });
    const [link] = linkNodes(diagram, 'gpu <-> gpu');
    const busiest = Math.max(
      ...simulation.links.filter(({ link: name }) => name.endsWith('gpu <-> gpu')).map(({ busy }) => busy),
    );
    const inFirst = simulation.links
      .filter(({ link: name, place }) => name.endsWith('gpu <-> gpu') && place.startsWith('node[0]'))
      .map(({ busy }) => busy / simulation.makespan);
    expect(busiest).toBeGreaterThan(0);
    expect(link!.busy).toBeCloseTo(Math.max(...inFirst), 12);
    const lanes = diagram.edges.filter(({ to }) => to === link!.id).map(({ busy }) => busy!);
    expect(Math.max(...lanes)).toBe(link!.busy);
  });

  it('has the edge to host memory as busy as the busiest lane of the link: the host has none', () => {
    const requests = Array.from({ length: 20 }, () => ({ promptTokens: 300, outputTokens: 20 }));
    const simulation = simulate(one.compiled.runtime, one.plan, requests);
    const diagram = topologyDiagram(one.plan, one.compiled, { workload: 'some', simulation });
    const [link] = linkNodes(diagram, 'gpu <-> host');
    expect(link!.busy).toBeGreaterThan(0);
    expect(diagram.edges.find(({ from, to }) => from === link!.id && to === 'node[0].host')!.busy).toBe(
      link!.busy,
    );
  });
});

describe('planned link use', () => {
  it('is the traffic of a ring, of sends, and of the planned moves', () => {
    const { plan, compiled } = one;
    const use = plannedUse(plan, compiled);
    const bytes = (what: RegExp): number =>
      use.filter((each) => what.test(each.what)).reduce((sum, each) => sum + each.bytes, 0);
    // Each of n ranks passes 2 (n - 1) / n of a sum on, and a send is as wide as the model on each of two ranks.
    const stage = (name: string) => compiled.runtime.stages.find((each) => each.name === name)!;
    const sums = (name: string): number =>
      stage(name).programs.flatMap(({ ops }) => ops.filter(({ op }) => op === 'collective')).length;
    const { hidden } = plan.model.shape;
    const activationBytes = 4;
    // Two replicas of either stage.
    expect(bytes(/^step of decode/)).toBeCloseTo(
      2 * sums('decode') * stage('decode').maxSequences * hidden * activationBytes * 2 * 7,
      3,
    );
    const rows = stage('prefill').maxTokens;
    const sends = 3 * 2 * rows * hidden * activationBytes;
    expect(bytes(/^step of prefill/)).toBeCloseTo(
      2 * (sums('prefill') * rows * hidden * activationBytes * 2 * 1 + sends),
      3,
    );
    const [there] = compiled.transitions.weights;
    const overLinks = there!.cost.links.filter(({ link }) => !link.endsWith('memory'));
    expect(overLinks.length).toBeGreaterThan(1);
    for (const { link, from, to, bytes: sum } of overLinks) {
      const own = use.filter((each) => each.what.startsWith('weights prefill') && each.link === link);
      const loads = own.filter((each) => each.from === from && each.to === to);
      expect(loads.map(({ instance }) => instance)).toEqual(['node[0]', 'node[1]']);
      expect(loads.reduce((total, load) => total + load.bytes, 0)).toBe(sum);
    }
  });

  it('has a token of KV between host and disk, where each host has its part of it', () => {
    const spilled = (text: string): readonly (readonly [string, string, string, number])[] => {
      const { plan, compiled } = compileText(text, 'turns');
      return plannedUse(plan, compiled)
        .filter(({ link }) => link.includes('nvme'))
        .map(({ what, instance, from, to, bytes }) => [what, `${instance} ${from}`, to, bytes]);
    };
    const tokenBytes = 2 * 16 * 8 * 128 * 2;
    // The same whether one of two replicas in a node each has all of it, or one over both nodes half in each.
    for (const mesh of ['mesh (dp: fill, pp: 4, tp: 2)', 'mesh (pp: 8, tp: 2)'])
      expect(spilled(pod(2).replace('mesh (dp: fill, pp: 4, tp: 2)', mesh))).toEqual([
        ['KV spilled, a token', 'node[0] host', 'nvme', tokenBytes / 2],
        ['KV spilled, a token', 'node[1] host', 'nvme', tokenBytes / 2],
        ['KV fetched, a token', 'node[0] nvme', 'host', tokenBytes / 2],
        ['KV fetched, a token', 'node[1] nvme', 'host', tokenBytes / 2],
      ]);
    expect(spilled(pod(2).replace(' -> host -> nvme', ' -> host'))).toEqual([]);
  });
});
