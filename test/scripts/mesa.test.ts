/** Which packages the set-up would install, on systems that are not at hand. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { installSteps, NO_MATCHING_SOURCE, type Machine } from '../../scripts/setup/mesa.mjs';

const DEBIAN_12: Machine = {
  ids: ['debian'],
  codename: 'bookworm',
  mesaCandidate: '22.3.6-1+deb12u2',
  sources: [],
};

const classic = (text: string) => ({ deb822: false, text });
const deb822 = (text: string) => ({ deb822: true, text });

/** The text that a `printf ... | tee` step would write, as the shell prints it. */
function written(step: string): string {
  return execFileSync('sh', ['-c', step.replace(/\| .*tee .*$/, '')], { encoding: 'utf8' });
}

describe('installing a software Vulkan driver', () => {
  it('takes the distribution’s own where it is new enough', () => {
    for (const mesaCandidate of ['25.0.7-2', '24.2.8-1ubuntu1~24.04.1', '1:26.0.1-1']) {
      const steps = installSteps({ ...DEBIAN_12, codename: 'trixie', mesaCandidate }, 'sudo ');
      expect(steps).toHaveLength(1);
      expect(steps[0]).toMatch(/^sudo apt-get .* install .*mesa-vulkan-drivers libvulkan1$/);
      expect(steps[0]).not.toContain('backports');
    }
  });

  it('never adds Debian suites to another distribution', () => {
    const ubuntu = { ...DEBIAN_12, ids: ['ubuntu', 'debian'], codename: 'jammy', mesaCandidate: '23.2.1-1' };
    expect(installSteps(ubuntu, '')).toHaveLength(1);
  });

  it('adds backports with the mirror and key of a deb822 source', () => {
    const text = [
      '# comment',
      'Types: deb deb-src',
      'URIs: https://mirror.example/debian',
      'Suites: bookworm bookworm-updates',
      'Components: main contrib',
      'Signed-By:',
      ' -----BEGIN KEY-----',
      ' .',
      " it's a key",
      '',
      'Types: deb',
      'URIs: https://security.example/debian-security',
      'Suites: bookworm-security',
      'Components: main',
    ].join('\n');
    const steps = installSteps({ ...DEBIAN_12, sources: [deb822(text)] }, 'sudo -n ');
    expect(steps).toHaveLength(3);
    expect(steps[0]).toContain('sudo -n tee /etc/apt/sources.list.d/fulcrum-backports.sources');
    expect(written(steps[0]!)).toBe(
      [
        'Types: deb',
        'URIs: https://mirror.example/debian',
        'Suites: bookworm-backports',
        'Components: main',
        'Signed-By:',
        ' -----BEGIN KEY-----',
        ' .',
        " it's a key",
        '',
      ].join('\n'),
    );
    expect(steps[1]).toMatch(/^sudo -n apt-get .*update$/);
    expect(steps[2]).toContain('-t bookworm-backports mesa-vulkan-drivers');
  });

  it('adds backports with the options of a classic source line', () => {
    const text = [
      'deb-src https://other.example/debian bookworm main',
      '# deb https://off.example/debian bookworm main',
      'deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] https://mirror.example/debian bookworm main non-free',
    ].join('\n');
    const steps = installSteps({ ...DEBIAN_12, sources: [classic(text)] }, '');
    expect(steps[0]).toContain('| tee /etc/apt/sources.list.d/fulcrum-backports.list');
    expect(written(steps[0]!)).toBe(
      'deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] https://mirror.example/debian bookworm-backports main\n',
    );
  });

  it('does not add a backports suite twice', () => {
    const sources = [
      classic('deb https://mirror.example/debian bookworm main'),
      deb822(
        'Types: deb\nURIs: https://mirror.example/debian\nSuites: bookworm-backports\nComponents: main\n',
      ),
    ];
    const steps = installSteps({ ...DEBIAN_12, sources }, '');
    expect(steps).toHaveLength(2);
    expect(steps[1]).toContain('-t bookworm-backports');
  });

  it('skips disabled sources and says when none is left', () => {
    const off =
      'Enabled: no\nTypes: deb\nURIs: https://mirror.example/debian\nSuites: bookworm\nComponents: main\n';
    expect(installSteps({ ...DEBIAN_12, sources: [deb822(off)] }, '')).toBe(NO_MATCHING_SOURCE);
  });
});
