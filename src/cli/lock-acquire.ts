import type { Command } from 'commander'
import { nanoid } from 'nanoid'
import type { AcquireDeliverable, AcquirePaths, AcquireProject, AcquireResource, Grant } from '../api/shapes/locks.ts'
import { LockstepError } from '../errors.ts'
import { heldAbove, isHeldAbove, locksAbove } from '../supervise/locks-above.ts'
import { untilFree } from '../supervise/waiting.ts'
import { actorFor, serviceOf, withLedger } from './context.ts'
import type { Globals } from './globals.ts'
import { durationText, print } from './output.ts'
import { pathFromHere } from './values.ts'
import { verb } from './verb.ts'

type Acquire = AcquireResource | AcquirePaths | AcquireDeliverable | AcquireProject

export function acquireVerb(): Command {
  return verb('acquire', 'locks.acquire', {
    arguments: ['name'],
    flags: {
      holder: { about: 'the name of the holder, for reports (default: the actor)', isOptional: true },
      lock_id: { about: 'the lock_id of an earlier attempt, to get its answer' },
      name: { about: 'the name of the resource' },
      paths: {
        about: 'a file or a subtree, which ends in / or is a folder',
        read: pathFromHere,
      },
      pids: { about: 'a process that holds the lock; when all of them are dead, the lock can be recovered' },
      wait_s: { about: 'wait this long if the lock is held (default: no wait)' },
    },
    more: 'It ends at once, so the lock is held until its lease ends or it is released.',
    input: (values, _, globals) => {
      if (values.folder !== undefined && values.pids === undefined) {
        throw new LockstepError(
          'INVALID_INPUT',
          '--pid is missing: name the process whose death frees the deliverable',
          {
            hint: 'This command ends at once, so name a process that lives as long as the work: in a script --pid $$, the script itself; where each command has a shell of its own --pid $PPID, the program that starts the shells. Or use "lockstep lock run --folder DIR -- COMMAND".',
          },
        )
      }
      // The id is chosen before the first attempt, so that all attempts of this command are the same acquisition.
      if (values.target_name !== undefined) return values
      const { actor_id: holder } = actorFor(globals) ?? {}
      return { lock_id: `lck_${nanoid()}`, ...(holder === undefined ? {} : { holder }), ...values }
    },
    run: async ({ command, globals, input }) => {
      const granted = await acquired(globals, command, input)
      if (granted.current) return told(globals, granted)
      const message = `${granted.name} was granted to this lock_id earlier with token ${granted.token}, and that grant has ended`
      throw new LockstepError('LOCK_ENDED', message, { details: { ...granted } })
    },
    examples: [
      'lockstep lock acquire reports --holder agent-7 --lease 15m',
      'lockstep lock acquire --path src/ --path package.json --reason "move to the new API" --lease 15m',
      'lockstep lock acquire --folder packages/DEL-08-05_Lock --holder TASK --pid $$ --wait 2m',
      'lockstep lock acquire --target "IAMBECCA | ACME | SITE | shop | NEO" --run-id run_ACME_shop_2026-02-02_001',
    ],
  })
}

/**
 * Acquires the lock. With --wait, a service queues the request; without one, the lock is polled for, because a waiting
 * process must not keep the ledger open.
 */
async function acquired(globals: Globals, command: string, input: Acquire): Promise<Grant> {
  const ask = (once: Acquire) => withLedger(globals, command, async (ledger) => ledger.locks.acquire(once))
  if ('target_name' in input) return ask(input)
  const { wait_s = 0, ...once } = input
  try {
    const served = await serviceOf(globals)
    if (served === undefined) return await untilFree(() => ask(once), wait_s)
    // The service does not know the commands above this one, so it is asked without a wait first.
    if (locksAbove().length === 0) return await served.locks.acquire(input)
    return await served.locks.acquire(once).catch((error: unknown) => {
      if (isHeldAbove(error)) throw heldAbove(error)
      if (wait_s === 0 || !(error instanceof LockstepError) || error.code !== 'LOCK_CONTENTION') throw error
      return served.locks.acquire(input)
    })
  } catch (error) {
    throw withLockId(error, input.lock_id)
  }
}

/** The error with the lock_id of the attempts, since a retry with it is the same acquisition. */
function withLockId(error: unknown, lock_id: string | undefined): unknown {
  if (!(error instanceof LockstepError)) return error
  const { code, details, message } = error
  const isUnknown = details.outcome === 'unknown'
  if (!isUnknown && code !== 'LOCK_CONTENTION' && code !== 'TIMED_OUT') return error
  const hint = isUnknown
    ? `It is unknown whether the lock was granted. Repeat the command with --lock-id ${lock_id}.`
    : (error.hint ?? `To continue this acquisition later, repeat the command with --lock-id ${lock_id}.`)
  return new LockstepError(code, message, { details: { ...details, lock_id }, hint, cause: error })
}

/** Prints a grant. If stdout cannot be written, the grant is still valid, so the error names it. */
function told(globals: Globals, granted: Grant): undefined {
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

function grantLines(granted: Grant): string[] {
  const lease = granted.lease_duration_s === null ? 'no lease' : `lease ${durationText(granted.lease_duration_s)}`
  const others = (granted.paths ?? []).slice(1).map((path) => `  and path:${path}`)
  const shared = granted.shared ? ', shared' : ''
  return [
    `${granted.replayed ? 'already acquired' : 'acquired'} ${granted.name}, token ${granted.token}, ${lease}${shared}`,
    ...others,
    ...(granted.run_id === undefined ? [`lock_id ${granted.lock_id}`] : [`run_id ${granted.run_id}`]),
    ...(granted.files === 'pending' ? ['the lock file could not be written yet; the ledger will retry'] : []),
    ...(granted.warning === undefined ? [] : [`warning: ${granted.warning}`]),
  ]
}
