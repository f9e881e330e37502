/**
 * Which commands give a Debian or Ubuntu machine a Mesa software Vulkan driver that Dawn accepts. Pure: decides from a
 * description of the machine (see machine.mjs), so that it can be tested for systems that are not at hand.
 *
 * Dawn refuses the Mesa 22.3 of Debian 12; 24 and newer work. Where the candidate is too old, the distribution's
 * backports suite is added with the mirror and the key that the machine's own sources use for the release.
 */

/** Oldest major version of Mesa known to work with Dawn. */
const GOOD_MESA = 24;
const PACKAGES = 'mesa-vulkan-drivers libvulkan1';
const APT = 'apt-get -o DPkg::Lock::Timeout=300';
const SOURCE_FILE = '/etc/apt/sources.list.d/fulcrum-backports';

/** The machine needs backports, but its sources name no mirror for its release. */
export const NO_MATCHING_SOURCE = 'no-matching-source';

/** Major upstream version of a package version (`1:25.0.7-2~bpo12+1` is 25). */
function majorVersion(version) {
  return version === undefined ? 0 : Number.parseInt(version.replace(/^\d+:/, ''), 10) || 0;
}

/** Paragraphs of a deb822 text as lists of `[field, value]`; a value keeps its continuation lines. */
function deb822Paragraphs(text) {
  const kept = text.split('\n').filter((line) => !line.startsWith('#'));
  return kept
    .join('\n')
    .split(/\n\s*\n/)
    .map((paragraph) =>
      paragraph
        .replace(/\n[ \t]/g, '\r ')
        .split('\n')
        .map((line) => /^([\w-]+):[ \t]*(.*)$/s.exec(line.replaceAll('\r', '\n')))
        .flatMap((match) => (match ? [[match[1], match[2].trimEnd()]] : [])),
    )
    .filter((fields) => fields.length > 0);
}

const words = (value) => (value ?? '').split(/\s+/).filter(Boolean);

/** Every enabled binary source: its suites, and how to write it again for another suite. */
function sourcesOf(files) {
  return files.flatMap(({ deb822, text }) => {
    if (!deb822) {
      return text.split('\n').flatMap((line) => {
        const match = /^\s*deb\s+(\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+\S/.exec(line);
        if (!match) return [];
        const [, options = '', uri, suite] = match;
        return [{ suites: [suite], deb822, rewrite: (other) => `deb ${options}${uri} ${other} main` }];
      });
    }
    return deb822Paragraphs(text).flatMap((fields) => {
      const get = (name) => fields.find(([field]) => field.toLowerCase() === name)?.[1];
      if (!words(get('types')).includes('deb') || /^(no|false|0|off)$/i.test(get('enabled') ?? '')) return [];
      const replaced = { types: 'deb', components: 'main' };
      const rewrite = (other) =>
        fields
          .map(([field, value]) => {
            const name = field.toLowerCase();
            const text = name === 'suites' ? other : (replaced[name] ?? value);
            return text.startsWith('\n') ? `${field}:${text}` : `${field}: ${text}`;
          })
          .join('\n');
      return [{ suites: words(get('suites')), deb822, rewrite }];
    });
  });
}

/** Shell command that writes a text to a file of the system. */
function writeFile(text, path, elevate) {
  const quoted = text.split('\n').map((line) => `'${line.replaceAll("'", `'\\''`)}'`);
  return `printf '%s\\n' ${quoted.join(' ')} | ${elevate}tee ${path} >/dev/null`;
}

/**
 * The shell commands, in order, that install the driver on the machine; `elevate` is the prefix that gains root
 * (`''`, `'sudo '`). `NO_MATCHING_SOURCE` when backports are needed and cannot be located.
 */
export function installSteps(machine, elevate) {
  const install = (options) => `${elevate}${APT} install -y --no-install-recommends ${options}${PACKAGES}`;
  const isDebian = machine.ids[0] === 'debian';
  if (!isDebian || majorVersion(machine.mesaCandidate) >= GOOD_MESA) return [install('')];

  const backports = `${machine.codename}-backports`;
  const update = `${elevate}${APT} update`;
  const fromBackports = install(`-t ${backports} `);
  const sources = sourcesOf(machine.sources);
  if (sources.some((source) => source.suites.includes(backports))) return [update, fromBackports];

  const main = sources.find((source) => source.suites.includes(machine.codename));
  if (main === undefined) return NO_MATCHING_SOURCE;
  const path = `${SOURCE_FILE}.${main.deb822 ? 'sources' : 'list'}`;
  return [writeFile(main.rewrite(backports), path, elevate), update, fromBackports];
}
