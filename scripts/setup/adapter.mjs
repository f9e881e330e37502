/**
 * The adapter: leaves a machine that has one alone; elsewhere installs Mesa's software Vulkan driver when it may, and
 * otherwise prints what to type.
 */
import { fork, spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installSteps, NO_MATCHING_SOURCE } from './mesa.mjs';
import { readMachine } from './machine.mjs';

const PROBE_TIMEOUT_MS = 120_000;

/** Asks for an adapter in a process of its own: `{ found, name?, output }`. */
function probe(root) {
  return new Promise((resolve) => {
    const child = fork(join(root, 'scripts', 'setup', 'probe.mjs'), [], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Unset, it makes every Vulkan start print a warning.
      env: { ...process.env, XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? tmpdir() },
    });
    let output = '';
    let report = { found: false };
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('message', (message) => (report = message));
    const timer = setTimeout(() => child.kill('SIGKILL'), PROBE_TIMEOUT_MS);
    child.on('close', () => {
      clearTimeout(timer);
      resolve({ ...report, output });
    });
  });
}

/** Prints the commands that would help, and what they need. */
function explain(log, steps, reason) {
  log.say(reason);
  log.say('type these commands (as root where they do not say sudo), then start again:');
  for (const step of steps) console.error(`\n${step}`);
  console.error('');
}

/** What to do on a system whose package manager this script does not drive. */
const OTHER_SYSTEMS = {
  fedora: ['sudo dnf install mesa-vulkan-drivers vulkan-loader'],
  arch: ['sudo pacman -S vulkan-swrast vulkan-icd-loader'],
  alpine: ['apk add mesa-vulkan-swrast vulkan-loader'],
};

/** True when an adapter answers, after installing a driver if that was needed and allowed. */
export async function ensureAdapter(root, log) {
  const first = await probe(root);
  if (first.found) {
    log.info(`WebGPU adapter: ${first.name}`);
    return true;
  }
  log.say('no WebGPU adapter found');
  if (first.output.trim() !== '') console.error(first.output.trim().replace(/^/gm, '  | '));

  const machine = readMachine();
  if (machine.platform !== 'linux') {
    log.say('install or update the graphics driver of this machine: Vulkan, Metal or Direct3D 12 is needed');
    return false;
  }
  if (!machine.hasApt) {
    const family = Object.keys(OTHER_SYSTEMS).find((id) => machine.ids.includes(id));
    if (family) explain(log, OTHER_SYSTEMS[family], "Mesa's software Vulkan driver would serve as one");
    else log.say("a Vulkan driver is needed: a GPU's own, or Mesa's software driver (lavapipe) 24 or newer");
    return false;
  }
  return installMesa(root, log, machine);
}

async function installMesa(root, log, machine) {
  const elevate = { root: '', sudo: 'sudo -n ', none: machine.hasSudo ? 'sudo ' : '' }[machine.privilege];
  const run = (step) => {
    log.say(`running: ${step.split('\n')[0]}`);
    const { status } = spawnSync('sh', ['-c', step], {
      stdio: ['ignore', 2, 2],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    return status === 0;
  };

  // A machine whose package lists were never fetched does not know its own candidate yet.
  const refresh = `${elevate}apt-get update`;
  const listsMissing = machine.mesaCandidate === undefined;
  if (listsMissing && machine.privilege !== 'none' && run(refresh)) machine = readMachine();

  const steps = installSteps(machine, elevate);
  if (steps === NO_MATCHING_SOURCE) {
    log.say(
      `the apt sources name no mirror for ${machine.codename}: add its backports suite, then start again`,
    );
    return false;
  }
  if (machine.privilege === 'none') {
    explain(
      log,
      listsMissing && !steps.includes(refresh) ? [refresh, ...steps] : steps,
      "Mesa's software Vulkan driver would serve as one, but installing it needs root or passwordless sudo",
    );
    return false;
  }
  log.say("installing Mesa's software Vulkan driver");
  const failed = steps.find((step) => !run(step));
  if (failed !== undefined) {
    explain(log, steps, `this command failed: ${failed.split('\n')[0]}`);
    return false;
  }
  const second = await probe(root);
  if (second.found) {
    log.say(`WebGPU adapter: ${second.name}`);
    return true;
  }
  const version = readMachine().mesaInstalled ?? 'unknown';
  log.say(`still no adapter with Mesa ${version}; 24 or newer is known to work`);
  if (second.output.trim() !== '') console.error(second.output.trim().replace(/^/gm, '  | '));
  return false;
}
