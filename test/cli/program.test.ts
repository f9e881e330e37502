/** The command line as a whole: usage errors, help, exit status. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { runInProcess as run } from './run-program.js';

describe('the command line', () => {
  it('prints help on request, and as an error without a command', async () => {
    const asked = await run('--help');
    expect(asked).toMatchObject({ status: 0, err: '' });
    expect(asked.out).toMatch(/^Usage: fulcrum /);
    const bare = await run();
    expect(bare).toMatchObject({ status: 2, out: '' });
    expect(bare.err).toBe(asked.out);
  });

  it('suggests the command or option that was meant', async () => {
    const command = await run('devcies');
    expect(command).toMatchObject({ status: 2, out: '' });
    expect(command.err).toMatch(/unknown command 'devcies'\s+\(Did you mean devices\?\)/);
    const option = await run('devices', '--jsn');
    expect(option).toMatchObject({ status: 2, out: '' });
    expect(option.err).toMatch(/unknown option '--jsn'\s+\(Did you mean --json\?\)/);
  });

  it('helps with commands, and says of another word that it is none', async () => {
    expect(await run('help', 'tune')).toEqual(await run('tune', '--help'));
    expect(await run('help', 'help')).toEqual(await run('--help'));
    for (const word of ['nope', 'devcies']) expect(await run('help', word)).toEqual(await run(word));
    expect((await run('help', 'nope')).err).toContain("error: unknown command 'nope'");
  });

  it('lists the values of an option that takes one of a few', async () => {
    const odd = await run('demo', '--weights', 'int5');
    expect(odd).toMatchObject({ status: 2, out: '' });
    expect(odd.err).toMatch('Allowed choices are f32, f16, bf16, int8, int4');
  });

  it.each(['graph', 'explain', 'compile', 'tune'])(
    'refuses a second plan of %s, which takes one',
    async (command) => {
      const rest = command === 'graph' ? ['--out', '/nowhere/x.svg'] : [];
      const several = await run(
        ...[command, 'plans/clerk.plan', '--plan', 'reshard', '--plan', 'reshard', ...rest],
      );
      expect(several).toMatchObject({ status: 2, out: '' });
      expect(several.err).toMatch(
        /option '--plan <name>' .*can be given once, and is given as reshard already/,
      );
    },
  );

  const batch = ['run', 'a.plan', '--requests', 'a.jsonl', '--out', 'b.jsonl'];
  it.each<[string, string, readonly string[]]>([
    ['--requests <file>', 'a.jsonl', [...batch, '--requests', 'b.jsonl']],
    ['--out <file>', 'b.jsonl', [...batch, '--out=b.jsonl']],
    ['--limit <count>', '3', [...batch, '--limit', '3', '--limit', '4']],
    ['--metrics-host <address>', '::1', [...batch, '--metrics-host', '::1', '--metrics-host', '::1']],
    ['--transitions <mode>', 'barrier', [...batch, '--transitions', 'barrier', '--transitions', 'dataflow']],
    ['--workload <name>', 'a', ['simulate', 'a.plan', '--workload', 'a', '--workload', 'b']],
    ['-o, --output <file>', 'a', ['compile', 'a.plan', '-o', 'a', '--output', 'b']],
    ['--top <count>', '1', ['tune', 'a.plan', '--top', '1', '--top', '1']],
  ])('refuses a second %s', async (flags, before, args) => {
    const twice = await run(...args);
    expect(twice).toMatchObject({ status: 2, out: '' });
    expect(twice.err).toContain(`option '${flags}' argument`);
    expect(twice.err).toContain(`It can be given once, and is given as ${before} already.`);
  });

  it('refuses a second value of a param', async () => {
    const twice = await run('check', 'a.plan', '--set', 'n=2', '--set', 'm=1', '--set', 'n = 4');
    expect(twice).toMatchObject({ status: 2, out: '' });
    expect(twice.err).toContain('n can be set once, and is 2 already.');
  });

  it('takes several of what gathers', async () => {
    const plans = [
      '--plan',
      'split',
      '--plan',
      'pipeline',
      '--without',
      'host-overhead',
      '--without',
      'host-overhead',
    ];
    const odd = await run('simulate', '/nowhere/a.plan', '--set', 'a=1', '--set', 'b=2', ...plans);
    expect(odd.err).not.toContain('once');
  });

  it.each([
    [['simulate', 'plans/clerk.plan', '--workload', ''], "option '--workload <name>' has an empty value"],
    [['simulate', 'plans/clerk.plan', '--html='], "option '--html <file>' has an empty value"],
    [
      ['diff', 'plans/clerk.plan', '--plan', 'split', '--plan', ''],
      "option '--plan <name>' has an empty value",
    ],
    [['compile', ''], "argument 'file' is empty"],
    [['check', 'plans/clerk.plan', ''], "argument 'files' is empty"],
    [['run', 'a.plan', '--requests', 'a.jsonl', '--out', ''], "option '--out <file>' has an empty value"],
  ])('refuses words that are empty: %j', async (args, message) => {
    const refused = await run(...args);
    expect(refused).toMatchObject({ status: 2, out: '' });
    expect(refused.err).toBe(`error: ${message}\n(see --help)\n`);
  });

  it.each([
    [['run', 'a.plan', '--requests', 'a.jsonl', '--out', '-'], '--out'],
    [['run', 'a.plan', '--requests', 'a.jsonl', '--out', 'b.jsonl', '--summary', '-'], '--summary'],
    [['simulate', 'plans/clerk.plan', '--trace', '-'], '--trace'],
    [['simulate', 'plans/clerk.plan', '--html', '-'], '--html'],
    [['demo', '--out', '-'], '--out'],
  ])('makes no file of the name -: %j', async (args, option) => {
    const refused = await run(...args);
    expect(refused).toMatchObject({ status: 2, out: '' });
    expect(refused.err).toMatch(`error: option '${option} <file>' has no standard stream in place of a file`);
  });

  it.skipIf(process.platform === 'win32')('has - for standard streams', async () => {
    const compiled = await run('compile', 'plans/clerk.plan', '--plan', 'single', '-o', '-');
    expect(compiled).toEqual(await run('compile', 'plans/clerk.plan', '--plan', 'single'));
    expect(compiled.status).toBe(0);
    const calibrated = await run('devices', '-o', '-');
    expect(calibrated.err).toContain('is about `--calibrate`, which is not given');
    // A pipe of this process would be a socket, which cannot be opened by name.
    const command = '"$0" dist/program/main.js check plans/clerk.plan --trace - <README.md';
    const traced = spawnSync('sh', ['-c', command, process.execPath], { encoding: 'utf8' });
    expect(traced.stderr).toContain('/dev/stdin is not a trace');
  });

  it('knows its version', async () => {
    expect(await run('--version')).toMatchObject({
      status: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
    });
  });

  it('has help for every command it lists', async () => {
    const { out } = await run('--help');
    const names = [...out.split('Commands:')[1]!.matchAll(/^ {2}([a-z]+)/gm)].map((match) => match[1]!);
    expect(names).toContain('devices');
    for (const name of names.filter((name) => name !== 'help')) {
      const help = await run(name, '--help');
      expect(help).toMatchObject({ status: 0, err: '' });
      expect(help.out).toMatch(`Usage: fulcrum ${name}`);
    }
  });

  it.each(['true', 'false', '4gpus', 'my-gpu', ''])('calls no device %j', async (name) => {
    expect(await run('devices', '--calibrate', '--name', name)).toMatchObject({
      status: 2,
      out: '',
      err: expect.stringContaining('expected a name of the plan language') as string,
    });
  });

  it.each(['0', '65', '100000', '1e3', 'two'])('opens no %j devices', async (count) => {
    expect(await run('devices', '--calibrate', '--devices', count)).toMatchObject({
      status: 2,
      out: '',
      err: expect.stringContaining('expected a whole number from 1 to 64') as string,
    });
  });

  it.each([
    [['-o', 'here.plan'], "error: option '-o, --out <file>' is about `--calibrate`"],
    [['--devices', '1'], "error: option '--devices <count>' is about `--calibrate`"],
    [['--quick', '--json'], "error: option '--quick' is about `--calibrate`"],
    [['--name', 'mine'], "error: option '--name <name>' is about `--calibrate`"],
    [['--like', 'a.plan'], "error: option '--like <file>' is about `--calibrate`"],
    [
      ['--calibrate', '--no-measure'],
      "error: option '--calibrate' cannot be used with option '--no-measure'",
    ],
  ])('shows no devices with options that are about nothing: %j', async (options, message) => {
    const refused = await run('devices', ...options);
    expect(refused).toMatchObject({ status: 2, out: '' });
    expect(refused.err).toContain(message);
  });
});
