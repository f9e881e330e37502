/** A browser for the tests of the playground: Chrome or Chromium, the machine's own or Debian's package. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { readMachine } from './machine.mjs';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'];

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of a browser: `CHROME_PATH`, else the first on the path; undefined when there is none. */
export function browserPath() {
  const named = process.env.CHROME_PATH;
  if (named) return named;
  const folders = (process.env.PATH ?? '').split(delimiter);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

/** True when there is a browser, after installing one where apt may be used without asking. */
export function ensureBrowser(log) {
  const found = browserPath();
  if (found !== undefined) {
    log.info(`browser: ${found}`);
    return true;
  }
  const { hasApt, privilege } = readMachine();
  if (hasApt && privilege !== 'none') {
    log.say('installing Chromium for the tests of the playground');
    const elevate = privilege === 'sudo' ? 'sudo -n ' : '';
    const apt = `${elevate}apt-get -o DPkg::Lock::Timeout=300`;
    const install = `${apt} install -y --no-install-recommends chromium`;
    const { status } = spawnSync('sh', ['-c', `${install} || { ${apt} update && ${install}; }`], {
      stdio: ['ignore', 'ignore', 2],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    if (status === 0 && browserPath() !== undefined) return true;
  }
  log.say(
    'no browser found for the tests of the playground: install Chromium or Chrome, or name one in CHROME_PATH',
  );
  return false;
}
