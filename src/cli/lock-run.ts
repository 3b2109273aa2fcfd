import { Command, Option } from 'commander'
import { nanoid } from 'nanoid'
import { LockstepError } from '../errors.ts'
import { actorOf, aroundDashes, examples, globalsOf, seconds, withLedger } from './context.ts'
import { say } from './output.ts'
import { type Survivors, survivorChoices } from './survivors.ts'

interface RunFlags {
  folder?: string
  grace: number
  holder?: string
  lease?: number
  lockId?: string
  survivors: Survivors
  wait?: number
}

const usageHint = 'The command stands behind --: lockstep lock run NAME -- COMMAND…'

export function runCommand(): Command {
  const command = new Command('run')
    .description(
      'Run a command while holding a lock: renewed meanwhile, released at its end, the command ended if the lease is lost.',
    )
    .usage('[options] <name> -- <command...>')
    .argument('[words...]', 'the resource (not with --folder), then the command after --')
    .option('--folder <dir>', 'hold this deliverable folder instead of a resource')
    .option('--holder <holder>', 'who holds it (default: the actor)')
    .option('--lease <seconds>', 'lease, renewed at a third of it (default 30m)', seconds)
    .option('--wait <seconds>', 'wait this long for a held lock', seconds)
    .option(
      '--grace <seconds>',
      'between TERM and KILL when the lease is lost; at most a quarter of the lease',
      seconds,
      10,
    )
    .addOption(
      new Option(
        '--survivors <what>',
        'what becomes of processes that the command leaves running: waited for, with the lock held and not renewed, ended at once, or left',
      )
        .choices(survivorChoices)
        .default('wait'),
    )
    .option('--lock-id <lock_id>', 'the id of an earlier try')
    .action(async (words: string[], flags: RunFlags, self: Command) => {
      const globals = globalsOf(self)
      const { folder } = flags
      const { before, behind } = aroundDashes(self, words)
      const [name] = before
      if (before.length > 1 || (name === undefined) === (folder === undefined))
        throw new LockstepError('INVALID_INPUT', 'name one of: a resource, --folder DIR', { hint: usageHint })
      if (behind.length === 0) throw new LockstepError('INVALID_INPUT', 'the command is missing', { hint: usageHint })
      const [{ superviseUnderLock }, { userActor }] = await Promise.all([
        import('./supervise.ts'),
        import('../open.ts'),
      ])
      process.exitCode = await superviseUnderLock({
        command: behind,
        request: folder === undefined ? { name: name ?? '' } : { folder },
        holder: flags.holder ?? (actorOf(globals) ?? userActor()).actor_id,
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
    'lockstep lock run --folder packages/DEL-08-05_Lock --lease 15m --wait 5m -- agent --task "write it"',
  )
}
