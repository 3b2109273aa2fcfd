import { Command } from 'commander'
import { nanoid } from 'nanoid'
import { LockstepError } from '../errors.ts'
import type { Ledger } from '../ledger.ts'
import type { GrantFacts, Lease } from '../nouns/locks/lease.ts'
import { untilFree } from '../supervise/waiting.ts'
import { examples, globalsOf, refuseOptions, seconds, wholeNumber, withLedger } from './context.ts'
import type { Globals } from './globals.ts'
import { durationText, print } from './output.ts'

interface AcquireFlags {
  folder?: string
  holder?: string
  lease?: number
  lockId?: string
  lockOwner?: string
  pid?: number[]
  reason?: string
  releaseCondition?: string[]
  runId?: string
  target?: string
  wait?: number
}

export function acquireCommand(): Command {
  const command = new Command('acquire')
    .description(
      'Lock a resource (NAME and --holder), a deliverable (--folder, --holder and --pid) or a project (--target and --run-id).',
    )
    .argument('[name]', 'the name of the resource')
    .option('--holder <holder>', 'the name of the holder, for reports; required except with --target')
    .option('--folder <dir>', 'the deliverable folder')
    .option('--target <target_name>', 'the project: "PREFIX | CLIENT | TYPE | SLUG | CODENAME"')
    .option('--run-id <run_id>', 'with --target: the run that locks the project; required')
    .option('--lock-owner <run_id>', 'with --target: must equal the run_id')
    .option(
      '--release-condition <text>',
      'with --target: a condition under which the lock may be released; repeatable',
      collect,
    )
    .option('--reason <text>', 'with --target: the reason to record')
    .option('--lease <seconds>', 'the length of the lease, such as 900, 15m or 1h (default: 30m)', seconds)
    .option(
      '--pid <pid>',
      'the process that holds the lock; when it dies, the lock can be recovered; required with --folder; repeatable',
      collectNumber,
    )
    .option('--wait <seconds>', 'wait this long if the lock is held (default: no wait)', seconds)
    .option('--lock-id <lock_id>', 'the lock_id of an earlier attempt, to get its answer')
    .action(async (name: string | undefined, flags: AcquireFlags, self: Command) => {
      const globals = globalsOf(self)
      refuseStrays(self, flags)
      const granted = await acquire(globals, name, flags)
      if (!granted.current) {
        const message = `${granted.name} was granted to this lock_id earlier with token ${granted.token}, and that grant has ended`
        throw new LockstepError('LOCK_ENDED', message, { details: { ...granted } })
      }
      tell(globals, granted)
    })
  return examples(
    command,
    'lockstep lock acquire reports --holder agent-7 --lease 15m',
    'lockstep lock acquire --folder packages/DEL-08-05_Lock --holder TASK --pid $PPID --wait 2m',
    'lockstep lock acquire --target "IAMBECCA | ACME | SITE | shop | NEO" --run-id run_ACME_shop_2026-02-02_001',
  )
}

function refuseStrays(self: Command, { target }: AcquireFlags): void {
  if (target === undefined)
    refuseOptions(self, ['lockOwner', 'reason', 'releaseCondition', 'runId'], 'a lock without --target')
  else
    refuseOptions(
      self,
      ['holder', 'lease', 'lockId', 'pid', 'wait'],
      'a project lock, which its run holds without a lease',
    )
}

async function acquire(globals: Globals, name: string | undefined, flags: AcquireFlags): Promise<GrantFacts> {
  const ways = [name, flags.folder, flags.target].filter((way) => way !== undefined)
  if (ways.length !== 1)
    throw new LockstepError('INVALID_INPUT', 'specify one of: a resource, --folder DIR, --target with --run-id')
  if (flags.target !== undefined)
    return withLedger(globals, 'lock acquire', async (ledger) => plain(await acquireProject(ledger, flags)))
  if (flags.holder === undefined)
    throw new LockstepError('INVALID_INPUT', '--holder is missing: name the holder of the lock')
  if (flags.folder !== undefined && flags.pid === undefined) {
    throw new LockstepError('INVALID_INPUT', '--pid is missing: name the process whose death frees the deliverable', {
      hint: 'This command ends at once, so name a process that lives as long as the work: --pid $PPID. Or use "lockstep lock run --folder DIR -- COMMAND".',
    })
  }
  // The id is chosen before the first attempt, so that all attempts of this command are the same acquisition.
  const lockId = flags.lockId ?? `lck_${nanoid()}`
  const request = {
    holder: flags.holder,
    lock_id: lockId,
    pids: flags.pid ?? [],
    ...(flags.lease === undefined ? {} : { lease_duration_s: flags.lease }),
  }
  const attempt = () =>
    withLedger(globals, 'lock acquire', async (ledger) =>
      plain(
        await ledger.locks.acquire(
          flags.folder === undefined ? { ...request, name: name ?? '' } : { ...request, folder: flags.folder },
        ),
      ),
    )
  try {
    return await untilFree(attempt, flags.wait ?? 0)
  } catch (error) {
    const mayHaveHappened = error instanceof LockstepError && error.details.outcome === 'unknown'
    if (!mayHaveHappened) throw error
    const hint = `It is unknown whether the lock was granted. Repeat the command with --lock-id ${lockId}.`
    throw new LockstepError(error.code, error.message, {
      details: { ...error.details, lock_id: lockId },
      hint,
      cause: error,
    })
  }
}

function acquireProject(ledger: Ledger, flags: AcquireFlags): Promise<Lease> {
  if (flags.runId === undefined)
    throw new LockstepError('INVALID_INPUT', '--run-id is missing: name the run that locks the project')
  return ledger.locks.acquire({
    target_name: flags.target ?? '',
    run_id: flags.runId,
    ...(flags.lockOwner === undefined ? {} : { lock_owner: flags.lockOwner }),
    ...(flags.reason === undefined ? {} : { reason: flags.reason }),
    ...(flags.releaseCondition === undefined ? {} : { release_conditions: flags.releaseCondition }),
  })
}

/** The facts of a lease, without its methods. */
function plain(lease: Lease): GrantFacts {
  return { ...lease }
}

function grantLines(granted: GrantFacts): string[] {
  const lease = granted.lease_duration_s === null ? 'no lease' : `lease ${durationText(granted.lease_duration_s)}`
  return [
    `${granted.replayed ? 'already acquired' : 'acquired'} ${granted.name}, token ${granted.token}, ${lease}`,
    ...(granted.run_id === undefined ? [`lock_id ${granted.lock_id}`] : [`run_id ${granted.run_id}`]),
    ...(granted.files === 'pending' ? ['the lock file could not be written yet; the ledger will retry'] : []),
    ...(granted.warning === undefined ? [] : [`warning: ${granted.warning}`]),
  ]
}

/** Prints a grant. If stdout cannot be written, the grant is still valid, so the error names it. */
function tell(globals: Globals, granted: GrantFacts): void {
  try {
    print(globals, granted, () => grantLines(granted))
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    const { lock_id, name, token } = granted
    throw new LockstepError(error.code, `${name} was granted; ${error.message}`, {
      details: { ...error.details, lock_id, name, token },
      hint: `Release it with "lockstep lock release ${lock_id}".`,
      cause: error,
    })
  }
}

export function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

function collectNumber(value: string, before: number[] = []): number[] {
  return [...before, wholeNumber(value)]
}
