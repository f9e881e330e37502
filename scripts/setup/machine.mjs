/** What the set-up needs to know about the machine: its system, its apt sources, its Mesa, and what we may do on it. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Stdout of a command, or '' when it fails or does not exist. */
function output(command, args) {
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, LC_ALL: 'C' },
  });
  return result.status === 0 ? result.stdout : '';
}

/** The fields of `/etc/os-release`. */
function osRelease() {
  if (!existsSync('/etc/os-release')) return {};
  const lines = readFileSync('/etc/os-release', 'utf8').split('\n');
  return Object.fromEntries(
    lines
      .map((line) => /^(\w+)="?(.*?)"?$/.exec(line))
      .flatMap((match) => (match ? [[match[1], match[2]]] : [])),
  );
}

/** Texts of the apt source files, main list first. */
function aptSources() {
  const folder = '/etc/apt/sources.list.d';
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  const paths = ['/etc/apt/sources.list', ...names.map((name) => join(folder, name))];
  return paths
    .filter((path) => existsSync(path) && /\.(list|sources)$/.test(path))
    .map((path) => ({ deb822: path.endsWith('.sources'), text: readFileSync(path, 'utf8') }));
}

/** `root`, `sudo` (passwordless) or `none`. */
function privilege() {
  if (process.getuid() === 0) return 'root';
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? 'sudo' : 'none';
}

/** Everything `installSteps` decides by, read from the machine. */
export function readMachine() {
  if (process.platform !== 'linux') return { platform: process.platform, hasApt: false, ids: [] };
  const release = osRelease();
  const policy = output('apt-cache', ['policy', 'mesa-vulkan-drivers']);
  const field = (name) => {
    const value = new RegExp(`${name}: (\\S+)`).exec(policy)?.[1];
    return value === undefined || value === '(none)' ? undefined : value;
  };
  return {
    platform: 'linux',
    ids: [release.ID ?? '', ...(release.ID_LIKE ?? '').split(' ')],
    codename: release.VERSION_CODENAME ?? '',
    hasApt: output('apt-get', ['--version']) !== '',
    mesaCandidate: field('Candidate'),
    mesaInstalled: field('Installed'),
    sources: aptSources(),
    privilege: privilege(),
    hasSudo: output('sudo', ['-V']) !== '',
  };
}
