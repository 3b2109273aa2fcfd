import { existsSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { LockstepError } from '../errors.ts'

const environment = ['LOCKSTEP_LOCK_NAME', 'LOCKSTEP_LOCK_ID', 'LOCKSTEP_TOKEN', 'LOCKSTEP_LOCK_DIR'] as const

/**
 * Variables that shells set themselves, which would change the environment of a command started through a shell. None
 * of them is secret. As the last step before the command, `env` restores them.
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
  // Variables of the busybox shell and of ksh.
  ...['HISTFILE', 'MAIL', 'MAILPATH', 'PATHEXT', 'REPLY', 'ERRNO'],
]

const shellName = /^[A-Za-z_][A-Za-z0-9_]*$/
const bash = '/bin/bash'
const envProgram = '/usr/bin/env'
const singleDigitMax = 9

/** How to spawn a shell that waits at a gate and then becomes the command, and the descriptor that opens the gate. */
export interface Gate {
  program: string
  words: string[]
  descriptor: number
}

/**
 * The shell reads the values of the four variables from a descriptor, one per line, and then becomes the command. If
 * the input ends early, the shell exits. The command otherwise gets what this process got: environment, descriptors,
 * arguments, and whether HUP is ignored. It keeps the pid of the shell. Errors: INVALID_INPUT.
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
    throw new LockstepError('INVALID_INPUT', 'descriptors 3 to 9 are all open', {
      hint: 'Close one of them, or install bash: other shells support no higher descriptors.',
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

/** Opens a gate: writes the values of the four variables to the pipe of its descriptor. */
export function openGate(gate: Readable | Writable | null | undefined, values: readonly string[]): void {
  const pipe = gate as Writable
  // A write fails if the child was killed at the gate. The child's exit reports that.
  pipe.on('error', () => {})
  pipe.end(values.map((value) => `${value}\n`).join(''))
}

/** A shell that ignores HUP and becomes the command at once. Node itself would reset HUP to its default action. */
export function ignoringHangup(command: readonly string[], env: NodeJS.ProcessEnv): Omit<Gate, 'descriptor'> {
  const { lost, options, program } = shellFor(env)
  const script = `trap '' HUP; exec "$@"`
  return { program, words: [...options, script, 'gate', ...restoring(command, env, lost), ...command] }
}

/** The shell for an environment and the descriptor that it reads from, and the variables that this shell would lose. */
function shellFor(
  env: NodeJS.ProcessEnv,
  descriptor = 0,
): { isBash: boolean; lost: string[]; options: string[]; program: string } {
  const odd = Object.keys(env).filter((name) => !shellName.test(name))
  // In privileged mode, bash passes on variables whose names are invalid in a shell, such as exported functions and
  // names with dots. Other shells lose them. Bash starts more slowly, and reads a startup file if stdin is a socket,
  // unless --norc is set.
  const isBash = (odd.length > 0 || descriptor > singleDigitMax) && existsSync(bash)
  return isBash
    ? { isBash, lost: [], options: ['--norc', '-p', '-c'], program: bash }
    : { isBash, lost: odd, options: ['-c'], program: '/bin/sh' }
}

/** The arguments for `env`. Empty if `env` would take the command itself for a variable. */
function restoring(command: readonly string[], env: NodeJS.ProcessEnv, lost: readonly string[]): string[] {
  if (command[0]?.includes('=') || !existsSync(envProgram)) return []
  const names = shellVariables.filter((name) => env[name] === undefined)
  const values = [...shellVariables, ...lost].flatMap((name) => (env[name] === undefined ? [] : `${name}=${env[name]}`))
  return [envProgram, ...names.flatMap((name) => ['-u', name]), ...values]
}

function freeDescriptor(taken: readonly number[]): number {
  for (let number = 3; ; number += 1) if (!taken.includes(number)) return number
}
