import { Command } from 'commander'
import type { ReleasedLock } from '../api/shapes/locks.ts'
import { LockstepError } from '../errors.ts'
import { entryLine } from './audit-list.ts'
import { askLedger, examples, fromHere, globalsOf, refuseOptions, wholeNumber, withLedger } from './context.ts'
import { acquireCommand } from './lock-acquire.ts'
import { breakCommand, importCommand, recoverCommand, retireCommand } from './lock-care.ts'
import { runCommand } from './lock-run.ts'
import { remainingText, statusLines } from './lock-text.ts'
import { durationText, print, relativeTime, table } from './output.ts'

export function lockCommand(): Command {
  const lock = new Command('lock').description('Acquire, renew, release, inspect and recover locks.')
  const verbs = [
    runCommand,
    acquireCommand,
    renewCommand,
    releaseCommand,
    statusCommand,
    listCommand,
    historyCommand,
    checkCommand,
  ]
  for (const verb of [...verbs, recoverCommand, breakCommand, retireCommand, importCommand]) lock.addCommand(verb())
  return examples(lock, 'lockstep lock run reports -- npm run report', 'lockstep lock list --under packages')
}

function renewCommand(): Command {
  const command = new Command('renew')
    .description('Renew the lease of a lock. An expired lease cannot be renewed.')
    .argument('<lock_id>', 'the secret that acquire printed')
    .action(async (lockId: string, _options: unknown, self: Command) => {
      const globals = globalsOf(self)
      const renewed = await withLedger(globals, 'lock renew', (ledger) => ledger.locks.renew({ lock_id: lockId }))
      print(
        globals,
        renewed,
        () => `renewed ${renewed.name}, token ${renewed.token}; the lease ends ${relativeTime(renewed.expires_at)}`,
      )
    })
  return examples(
    command,
    'lockstep lock renew lck_V1StGXR8_Z5jdHi6B-myT',
    'lockstep lock renew "$LOCKSTEP_LOCK_ID" --json',
  )
}

interface ReleaseFlags {
  finalStatus?: string
  outcome?: string
  override?: boolean
  reason?: string
  runId?: string
}

function releaseCommand(): Command {
  const command = new Command('release')
    .description(
      'Release a lock by its lock_id. The release authority releases a project lock by --run-id and --final-status.',
    )
    .argument('[lock_id]', 'the secret that acquire printed')
    .option('--outcome <outcome>', 'the outcome of the work: success or failure')
    .option('--run-id <run_id>', 'the run whose project lock to release')
    .option(
      '--final-status <status>',
      'with --run-id, required: COMPLETE, PARTIAL, HALTED, FAILED, ABORTED or ROLLED_BACK',
    )
    .option('--override', 'with --run-id: release by manual override of the release authority; needs --reason')
    .option('--reason <text>', 'with --run-id: the reason to record')
    .action(async (lockId: string | undefined, flags: ReleaseFlags, self: Command) => {
      const globals = globalsOf(self)
      if ((lockId === undefined) === (flags.runId === undefined))
        throw new LockstepError('INVALID_INPUT', 'specify either a lock_id or --run-id')
      if (lockId === undefined) refuseOptions(self, ['outcome'], 'a project lock; use --final-status instead')
      else refuseOptions(self, ['finalStatus', 'override', 'reason'], 'a release by lock_id')
      const request =
        flags.runId === undefined
          ? { lock_id: lockId ?? '', ...(flags.outcome === undefined ? {} : { outcome: flags.outcome as 'success' }) }
          : {
              run_id: flags.runId,
              final_status: flags.finalStatus as 'COMPLETE',
              override: flags.override === true,
              ...(flags.reason === undefined ? {} : { reason: flags.reason }),
            }
      const released = await withLedger(globals, 'lock release', (ledger) => ledger.locks.release(request))
      print(globals, released, () => releasedLines(released))
    })
  return examples(
    command,
    'lockstep lock release lck_V1StGXR8_Z5jdHi6B-myT --outcome failure',
    'lockstep --actor BECCA lock release --run-id run_ACME_shop_2026-02-02_001 --final-status COMPLETE',
  )
}

function releasedLines(released: ReleasedLock): string[] {
  const again = released.replayed ? ' (already released)' : ''
  const late = released.late ? ', after its lease had expired' : ''
  return [
    `released ${released.name}, token ${released.token}, held for ${durationText(released.held_ms / 1000)}${late}${again}`,
    ...(released.files === 'pending'
      ? ['the lock file could not be written or removed yet; the ledger will retry']
      : []),
  ]
}

function statusCommand(): Command {
  const command = new Command('status')
    .description('Print the current state of a lock.')
    .argument('<name>', 'the name of the lock: reports, deliverable:DEL-08-05 or project:CLIENT/TYPE/slug')
    .action(async (name: string, _options: unknown, self: Command) => {
      const globals = globalsOf(self)
      const status = await withLedger(globals, 'lock status', async (ledger) => ledger.locks.status({ name }))
      print(globals, status, () => statusLines(status))
    })
  return examples(command, 'lockstep lock status reports', 'lockstep lock status deliverable:DEL-08-05 --json')
}

function listCommand(): Command {
  const command = new Command('list')
    .description('List the locks that are held.')
    .option('--orphans', 'only orphans, and project locks whose RUN_LOCK.json differs from the ledger')
    .option('--under <dir>', 'only deliverables below this folder (relative to the working directory)')
    .action(async (options: { orphans?: boolean; under?: string }, self: Command) => {
      const globals = globalsOf(self)
      const { orphans, under } = options
      const asked = { orphans, under: under === undefined ? undefined : fromHere(under) }
      const { locks } = await askLedger(globals, 'lock list', (ledger) => ledger.locks.list(asked))
      const rows = locks.map((lock) => [
        lock.name,
        lock.state,
        lock.holder ?? '',
        String(lock.token),
        remainingText(lock),
        lock.orphan_reason ?? '',
      ])
      const text =
        locks.length === 0
          ? options.orphans
            ? 'no orphans'
            : 'no locks are held'
          : await table(['NAME', 'STATE', 'HOLDER', 'TOKEN', 'LEASE', ''], rows)
      print(globals, { locks }, () => text)
    })
  return examples(command, 'lockstep lock list', 'lockstep lock list --orphans --under packages')
}

function historyCommand(): Command {
  const command = new Command('history')
    .description('Print the entries of a lock, newest first: who held it, when, and why it ended.')
    .argument('<name>', 'the name of the lock')
    .option('--limit <n>', 'the maximum number of entries to print', wholeNumber, 50)
    .action(async (name: string, { limit }: { limit: number }, self: Command) => {
      const globals = globalsOf(self)
      const { entries } = await askLedger(globals, 'lock history', (ledger) => ledger.locks.history({ limit, name }))
      print(globals, { entries }, () => entries.map(entryLine))
    })
  return examples(
    command,
    'lockstep lock history reports',
    'lockstep lock history deliverable:DEL-08-05 --limit 5 --json',
  )
}

function checkCommand(): Command {
  const command = new Command('check')
    .description('Check that a run holds the project lock of a target. The exit code is 5 if it does not.')
    .requiredOption('--run-id <run_id>', 'the run to check')
    .requiredOption('--target <target_name>', 'the target, as lock acquire named it')
    .action(async ({ runId, target }: { runId: string; target: string }, self: Command) => {
      const globals = globalsOf(self)
      const checked = await withLedger(globals, 'lock check', async (ledger) =>
        ledger.locks.check({ run_id: runId, target_name: target }),
      )
      print(globals, checked, () => `LOCKED by ${checked.run_id}, token ${checked.token}`)
    })
  return examples(
    command,
    'lockstep lock check --run-id run_ACME_shop_2026-02-02_001 --target "IAMBECCA | ACME | SITE | shop | NEO"',
    'lockstep lock check --run-id "$RUN_ID" --target "$TARGET" && start-the-role',
  )
}
