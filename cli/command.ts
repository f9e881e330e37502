/** What all commands share: how they report success, and how they may run in a GPU process. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Terminal } from './terminal.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { INTERRUPTS, runInGpuProcess } from './gpu-process.js';

export interface CommandContext {
  readonly terminal: Terminal;
  /** Devices are opened in this very process, which then gets Dawn's log on its own descriptors. */
  readonly devicesHere: boolean;
  /** Sets the exit status of the process. */
  readonly exit: (code: number) => void;
}

/** Registers one command on the program. */
export type AddCommand = (program: Command, context: CommandContext) => void;

/** Action of a command that opens no device. */
export function action<Args extends unknown[]>(
  context: CommandContext,
  body: (...args: Args) => Promise<ExitCode> | ExitCode,
): (...args: Args) => Promise<void> {
  return async (...args) => context.exit(await body(...args));
}

/**
 * Action of a command that opens devices: its body runs in a GPU process unless this one will do, and is loaded there
 * alone.
 */
export function gpuAction<Args extends unknown[]>(
  context: CommandContext,
  load: () => Promise<(context: CommandContext, ...args: Args) => Promise<ExitCode>>,
): (...args: Args) => Promise<void> {
  return async (...args) => {
    const status = context.devicesHere
      ? await (
          await load()
        )(context, ...args)
      : await runInGpuProcess(context.terminal);
    context.exit(status);
  };
}

/** Option of every command that has a machine-readable form. */
export function addJsonOption(command: Command): Command {
  return command.option('--json', 'print one machine-readable document on stdout');
}

/** Runs `body` with a signal that aborts on Ctrl-C and on a termination signal. */
export async function interruptible<T>(body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const interrupt = (): void => {
    // The second one does not wait for anything.
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort();
  };
  for (const signal of INTERRUPTS) process.on(signal, interrupt);
  try {
    return await body(controller.signal);
  } finally {
    for (const signal of INTERRUPTS) process.off(signal, interrupt);
  }
}

/** Milliseconds of work between two looks at whether somebody has interrupted it. */
const LISTEN_EVERY = 50;

/**
 * Carries on with what is done in parts until it is done or interrupted; returns the last that it came to.
 *
 * @param said told of every part
 */
export async function listening<Part, Result>(
  parts: Iterator<Part, Result> | AsyncIterator<Part, Result>,
  signal: AbortSignal,
  said: (part: Part | Result) => void = () => undefined,
): Promise<Part | Result> {
  for (let listened = performance.now(); ;) {
    const part = await parts.next();
    said(part.value);
    if (part.done) return part.value;
    if (performance.now() - listened < LISTEN_EVERY) continue;
    await new Promise<void>((resolve) => void setImmediate(resolve));
    if (signal.aborted) return part.value;
    listened = performance.now();
  }
}

/** Gathers the values of an option that may be repeated. */
export function gather(value: string, gathered: readonly string[] = []): readonly string[] {
  return [...gathered, value];
}

/** Gathers values that are separated by commas, of an option that may be repeated; each is there once. */
export function gatherEach<Value>(
  valueOf: (text: string) => Value,
): (text: string, gathered?: readonly Value[]) => readonly Value[] {
  const gatherer = (text: string, gathered: readonly Value[] = []): readonly Value[] => [
    ...new Set([...gathered, ...text.split(',').map(valueOf)]),
  ];
  gatherers.add(gatherer);
  return gatherer;
}

/** An option that takes some of these. No more than the next argument is its own: behind that the file may stand. */
export function choicesOption<Choice extends string>(
  flags: string,
  description: string,
  choices: readonly Choice[],
): Option {
  const choiceOf = (text: string): Choice => {
    const chosen = choices.find((choice) => choice === text.trim());
    if (chosen === undefined)
      throw new InvalidArgumentError(`'${text.trim()}' is none of the choices ${choices.join(', ')}.`);
    return chosen;
  };
  return new Option(flags, description).choices(choices).argParser(gatherEach(choiceOf));
}

/** What takes the values of an option that may be repeated. */
const gatherers = new WeakSet<object>([gather, collectSettings]);

/** Refuses a second value of the options of a command that do not gather: the last would win, and nobody would be told. */
export function refuseRepeats({ options }: Command): void {
  for (const option of options) {
    const { parseArg } = option;
    const takesValue = option.required || option.optional;
    if (!takesValue || (parseArg !== undefined && gatherers.has(parseArg))) continue;
    let given: string | undefined;
    option.argParser((value: string, before: unknown) => {
      if (given !== undefined)
        throw new InvalidArgumentError(`It can be given once, and is given as ${given} already.`);
      given = value;
      return parseArg ? parseArg(value, before) : value;
    });
  }
}

/** Gathers `--set name=value` options. */
export function collectSettings(
  setting: string,
  gathered: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = setting.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('expected name=value');
  const [name, value] = [setting.slice(0, at).trim(), setting.slice(at + 1).trim()];
  if (Object.hasOwn(gathered, name))
    throw new InvalidArgumentError(`${name} can be set once, and is ${gathered[name]} already.`);
  return { ...gathered, [name]: value };
}

/** A whole number from 1 as an option's value. */
export function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new InvalidArgumentError('expected a whole number from 1');
  return count;
}

/** A TCP port as an option's value; 0 stands for any that is free. */
export function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) throw new InvalidArgumentError('expected a port from 0 to 65535');
  return port;
}
