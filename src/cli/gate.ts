import { existsSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { LockstepError } from '../errors.ts'

const environment = ['LOCKSTEP_LOCK_NAME', 'LOCKSTEP_LOCK_ID', 'LOCKSTEP_TOKEN', 'LOCKSTEP_DIR'] as const

/**
 * Variables that shells set by themselves when they start or as they work, so that a command behind a shell would find
 * others than were there. None of them is secret; `env` puts them back, as the last step before the command.
 */
const shellVariables = [
  ...[
    '_',
    'IFS',
    'PWD',
    'OLDPWD',
    'SHLVL',
    'PPID',
    'OPTIND',
    'OPTERR',
    'OPTARG',
    'PS1',
    'PS2',
    'PS4',
    'LINENO',
    'TMOUT',
  ],
  ...['BASH', 'BASHOPTS', 'BASHPID', 'BASH_ALIASES', 'BASH_ARGC', 'BASH_ARGV', 'BASH_ARGV0', 'BASH_CMDS'],
  ...['BASH_COMMAND', 'BASH_EXECUTION_STRING', 'BASH_LINENO', 'BASH_MONOSECONDS', 'BASH_REMATCH', 'BASH_SOURCE'],
  ...['BASH_SUBSHELL', 'BASH_TRAPSIG', 'BASH_VERSINFO', 'BASH_VERSION', 'COMP_WORDBREAKS', 'DIRSTACK', 'EPOCHREALTIME'],
  ...['EPOCHSECONDS', 'EUID', 'FUNCNAME', 'GROUPS', 'HISTCMD', 'HOSTNAME', 'HOSTTYPE', 'LINES', 'COLUMNS', 'MACHTYPE'],
  ...['OSTYPE', 'PIPESTATUS', 'RANDOM', 'SECONDS', 'SHELLOPTS', 'SRANDOM', 'TERM', 'UID'],
  // The busybox shell and ksh.
  ...['HISTFILE', 'MAIL', 'MAILPATH', 'PATHEXT', 'REPLY', 'ERRNO'],
]

const shellName = /^[A-Za-z_][A-Za-z0-9_]*$/
const bash = '/bin/bash'
const envProgram = '/usr/bin/env'
const singleDigitMax = 9

/** A shell that waits at a gate and then becomes the command: what to spawn, and the descriptor that opens it. */
export interface Gate {
  program: string
  words: string[]
  descriptor: number
}

/**
 * The shell takes the values of the four variables from a descriptor of its own, a line each, and becomes the command
 * once all have come; if the lines end before, it ends. Everything else is for the command as it was for us: its
 * environment, its descriptors, its arguments, the pid, and whether it ignores HUP. Errors: INVALID_INPUT.
 */
export function gateFor(
  command: readonly string[],
  {
    descriptors,
    env,
    isHangupIgnored,
  }: { descriptors: readonly number[]; env: NodeJS.ProcessEnv; isHangupIgnored: boolean },
): Gate {
  const descriptor = freeDescriptor(descriptors)
  const { isBash, lost, options, program } = shellFor(env, descriptor)
  if (!isBash && descriptor > singleDigitMax) {
    throw new LockstepError('INVALID_INPUT', 'the descriptors 3 to 9 are all open', {
      hint: 'Leave one of them closed, or install bash: other shells know no higher ones.',
    })
  }
  const lines = environment.map((name) => `IFS= read -r ${name} <&${descriptor}`).join(' && ')
  const script = [
    isHangupIgnored ? "trap '' HUP" : ':',
    'unset TMOUT',
    `{ ${lines}; } || exit 125`,
    `export ${environment.join(' ')}`,
    `exec ${descriptor}<&-`,
    'exec "$@"',
  ].join('; ')
  return { program, words: [...options, script, 'gate', ...restoring(command, env, lost), ...command], descriptor }
}

/** Opens a gate by the pipe to its descriptor, with the values of the four variables. */
export function openGate(gate: Readable | Writable | null | undefined, values: readonly string[]): void {
  const pipe = gate as Writable
  // Nobody reads where the child was killed at the gate; its end says so.
  pipe.on('error', () => {})
  pipe.end(values.map((value) => `${value}\n`).join(''))
}

/** A shell that becomes the command at once, which ignores HUP then: Node would start it with HUP as it is by default. */
export function ignoringHangup(command: readonly string[], env: NodeJS.ProcessEnv): Omit<Gate, 'descriptor'> {
  const { lost, options, program } = shellFor(env)
  const script = `trap '' HUP; exec "$@"`
  return { program, words: [...options, script, 'gate', ...restoring(command, env, lost), ...command] }
}

/** The shell for an environment and a descriptor that it reads from, and the variables that it loses. */
function shellFor(
  env: NodeJS.ProcessEnv,
  descriptor = 0,
): { isBash: boolean; lost: string[]; options: string[]; program: string } {
  const odd = Object.keys(env).filter((name) => !shellName.test(name))
  // A bash that runs privileged hands on what is no name to a shell, such as exported functions and names with dots,
  // which other shells lose. It takes longer to start, and by itself reads a start file where stdin is a socket.
  const isBash = (odd.length > 0 || descriptor > singleDigitMax) && existsSync(bash)
  return isBash
    ? { isBash, lost: [], options: ['--norc', '-p', '-c'], program: bash }
    : { isBash, lost: odd, options: ['-c'], program: '/bin/sh' }
}

/** What `env` needs to be told; nothing where it would take the command itself for a variable. */
function restoring(command: readonly string[], env: NodeJS.ProcessEnv, lost: readonly string[]): string[] {
  if (command[0]?.includes('=') || !existsSync(envProgram)) return []
  const names = shellVariables.filter((name) => env[name] === undefined)
  const values = [...shellVariables, ...lost].flatMap((name) => (env[name] === undefined ? [] : `${name}=${env[name]}`))
  return [envProgram, ...names.flatMap((name) => ['-u', name]), ...values]
}

function freeDescriptor(taken: readonly number[]): number {
  for (let number = 3; ; number += 1) if (!taken.includes(number)) return number
}
