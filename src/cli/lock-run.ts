import { Command, Option } from 'commander'
import { nanoid } from 'nanoid'
import { userName } from '../disk/user.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import type { Survivors } from '../supervise/runner.ts'
import { actorFor, aroundDashes, examples, globalsOf, withLedger } from './context.ts'
import { say } from './output.ts'
import { fromHere, pathFromHere, seconds } from './values.ts'

interface RunFlags {
  path?: string[]
  reason?: string
  shared?: boolean
  folder?: string
  grace: number
  holder?: string
  lease?: number
  lockId?: string
  survivors: Survivors
  wait?: number
}

const usageHint = 'Put the command after --: lockstep lock run NAME -- COMMAND…'

export function runCommand(): Command {
  const command = new Command('run')
    .description(
      'Run a command while holding a lock. The lock is renewed meanwhile and released at the end. If the lease is lost, the command is ended.',
    )
    .usage('[options] <name> -- <command...>')
    .argument('[name...]', 'the name of the resource (not with --folder or --path), then -- and the command')
    .option('--folder <dir>', 'lock this deliverable folder instead of a resource')
    .option(
      '--path <path>',
      'lock this file or subtree, which ends in / or is a folder, instead of a resource; repeatable',
      (path: string, before: string[] = []) => [...before, pathFromHere(path)],
    )
    .option('--shared', 'share the paths with other readers')
    .option('--reason <reason>', 'why the lock is held, for those who find it held')
    .option('--holder <holder>', 'the name of the holder (default: the actor), and the actor if no other is named')
    .option(
      '--lease <seconds>',
      'the length of the lease, such as 900, 15m or 1h; it is renewed after a third of that (default: 30m)',
      seconds,
    )
    .option('--wait <seconds>', 'wait this long if the lock is held, at most a day (default: no wait)', waitSeconds)
    .option(
      '--grace <seconds>',
      'the time between TERM and KILL when the lease is lost; at most a quarter of the lease',
      seconds,
      10,
    )
    .addOption(survivorsOption('with the lock held but not renewed'))
    .option('--lock-id <lock_id>', 'the lock_id of an earlier attempt, to continue it')
    .action(async (words: string[], flags: RunFlags, self: Command) => {
      const globals = globalsOf(self)
      const { folder, path: paths, reason, shared } = flags
      const { before, behind } = aroundDashes(self, words)
      const [name] = before
      const asked = [name, folder, paths].filter((one) => one !== undefined)
      if (before.length > 1 || asked.length !== 1)
        throw new LockstepError('INVALID_INPUT', 'specify a resource, --path PATH or --folder DIR', { hint: usageHint })
      if (shared && paths === undefined)
        throw new LockstepError('INVALID_INPUT', '--shared is for --path only', { hint: usageHint })
      if (behind.length === 0) throw new LockstepError('INVALID_INPUT', 'no command is given', { hint: usageHint })
      const actor = actorFor(globals, flags.holder)
      const holder = flags.holder ?? actor?.actor_id ?? userName()
      if (actor !== undefined) globals.actor = `${actor.actor_type}:${actor.actor_id}`
      const { superviseUnderLock } = await import('../supervise/lock-run.ts')
      process.exitCode = await superviseUnderLock({
        actor,
        command: behind,
        request: { ...requestFor({ folder, name, paths, shared }), ...(reason === undefined ? {} : { reason }) },
        holder,
        lock_id: flags.lockId ?? `lck_${nanoid()}`,
        ...(flags.lease === undefined ? {} : { lease_duration_s: flags.lease }),
        ...(flags.wait === undefined ? {} : { wait_s: flags.wait }),
        graceMillis: flags.grace * 1000,
        survivors: flags.survivors,
        say,
        withLedger: (work) => withLedger(globals, 'lock run', work),
      })
    })
  return examples(
    command,
    'lockstep lock run reports -- npm run report',
    'lockstep lock run --path src/ --reason "move to the new API" -- agent --task "move it"',
    'lockstep lock run --folder packages/DEL-08-05_Lock --lease 15m --wait 5m -- agent --task "write it"',
  )
}

interface LockAsked {
  folder: string | undefined
  name: string | undefined
  paths: string[] | undefined
  shared: boolean | undefined
}

/** The lock that the arguments name. */
function requestFor(asked: LockAsked) {
  const { folder, name = '', paths, shared = false } = asked
  if (paths !== undefined) return { paths, shared }
  return folder === undefined ? { name } : { folder: fromHere(folder) }
}

/** Reads `--wait`. The bound is that of `lock acquire`. Errors: INVALID_INPUT. */
function waitSeconds(text: string): number {
  const value = seconds(text)
  if (value <= limits.waitSecondsMax) return value
  throw new LockstepError('INVALID_INPUT', `--wait must be at most ${limits.waitSecondsMax} seconds, not ${value}`)
}

/** The option `--survivors`, which says how the command waits for processes that it left running. */
export function survivorsOption(how: string): Option {
  const choices: Survivors[] = ['wait', 'kill', 'ignore']
  return new Option(
    '--survivors <what>',
    `how to treat processes that the command leaves running: wait for them ${how}, kill them at once, or ignore them`,
  )
    .choices(choices)
    .default('wait')
}
