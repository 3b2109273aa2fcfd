import { Command } from 'commander'
import type { RunsApi } from '../api/runs.ts'
import type { RunRecord } from '../domain/run/run-record.ts'
import { examples, globalsOf, seconds, withLedger } from './context.ts'
import { collect } from './lock-acquire.ts'
import { print } from './output.ts'
import { pairsFrom, refsIn } from './run-actions.ts'
import { runLines } from './run-text.ts'

/** A command on one run that prints the record of the run. */
function verb<Flags>(
  name: string,
  description: string,
  ask: (runs: RunsApi, runId: string, flags: Flags) => Promise<RunRecord>,
): Command {
  return new Command(name)
    .description(description)
    .argument('<run_id>', 'the id of the run')
    .option('--key <key>', 'request key: repeating a request with its key returns the first answer')
    .action(async (runId: string, flags: Flags, self: Command) => {
      const globals = globalsOf(self)
      const record = await withLedger(globals, `run ${name}`, (ledger) => ask(ledger.runs, runId, flags))
      print(globals, record, () => runLines(record))
    })
}

interface Keyed {
  key?: string
}

interface StartFlags extends Keyed {
  lease?: number
  lock?: string
  pinLanes?: string
  pinRoles?: string
  taxonomy?: string[]
}

export function startCommand(): Command {
  const command = verb(
    'start',
    'Start a run and pin it to the policy in force. A run that the policy does not allow is denied.',
    (runs, run_id, flags: StartFlags) =>
      runs.start({
        idempotency_key: flags.key,
        lease_duration_s: flags.lease,
        lock: flags.lock,
        policy_versions:
          flags.pinLanes === undefined && flags.pinRoles === undefined
            ? undefined
            : { lanes: flags.pinLanes, roles: flags.pinRoles },
        run_id,
        taxonomy_versions: flags.taxonomy && (pairsFrom('--taxonomy', flags.taxonomy) as { coa?: string }),
      }),
  )
    .option('--lease <seconds>', 'mark the run as failed if no heartbeat arrives within this time', seconds)
    .option('--lock <name>', 'the lock that the run holds; it can record and complete only while that grant is current')
    .option('--pin-lanes <sha>', 'the pin of lanes.yaml that the caller expects')
    .option('--pin-roles <sha>', 'the pin of roles.yaml that the caller expects')
    .option('--taxonomy <name=version>', 'the version of coa, tags or entities that the run uses; repeatable', collect)
  return examples(command, 'lockstep run start run_draft1 --lease 10m', 'lockstep run start run_draft1 --lock reports')
}

export function heartbeatCommand(): Command {
  const command = verb('heartbeat', 'Renew the lease of a run.', (runs, run_id, { key }: Keyed) =>
    runs.heartbeat({ idempotency_key: key, run_id }),
  )
  return examples(command, 'lockstep run heartbeat run_draft1', 'lockstep run heartbeat "$RUN_ID" --json')
}

interface CompleteFlags extends Keyed {
  discardTurn?: boolean
  outputs?: string
  reason: string
  releaseLock?: boolean
}

export function completeCommand(): Command {
  const command = verb('complete', 'End a run as completed.', (runs, run_id, flags: CompleteFlags) =>
    runs.complete({
      discard_turn: flags.discardTurn === true,
      idempotency_key: flags.key,
      outcome_reason: flags.reason,
      output_artifacts: refsIn(flags.outputs),
      release_lock: flags.releaseLock === true,
      run_id,
    }),
  )
    .requiredOption('--reason <text>', 'the result of the run (outcome_reason)')
    .option('--outputs <file>', 'the outputs: a file with a JSON array of artifact refs, or - for stdin')
    .option('--release-lock', 'release the lock that the run was started with, in the same append')
    .option('--discard-turn', 'reject a staged or validated turn, which would otherwise prevent completion')
  return examples(
    command,
    'lockstep run complete run_draft1 --reason "interview captured"',
    'lockstep run complete run_draft1 --reason done --release-lock',
  )
}

interface FailFlags extends CompleteFlags {
  errorCode: string
  message: string
  retryable?: boolean
}

export function failCommand(): Command {
  const command = verb('fail', 'End a run as failed, with an error.', (runs, run_id, flags: FailFlags) =>
    runs.fail({
      error: { error_code: flags.errorCode, message: flags.message, retryable: flags.retryable === true },
      idempotency_key: flags.key,
      outcome_reason: flags.reason ?? flags.errorCode,
      output_artifacts: refsIn(flags.outputs),
      run_id,
    }),
  )
    .requiredOption('--error-code <code>', 'a code for the error')
    .requiredOption('--message <text>', 'the text of the error, without private data')
    .option('--reason <text>', 'the reason for the outcome (outcome_reason; default: the error code)')
    .option('--retryable', 'allow the run to be retried')
    .option(
      '--outputs <file>',
      'partial outputs, if the lane allows them: a file with a JSON array of artifact refs, or - for stdin',
    )
  return examples(
    command,
    'lockstep run fail run_draft1 --error-code TIMEOUT --message "no answer in 30 s" --retryable',
    'lockstep run fail run_draft1 --error-code BAD_INPUT --message "the recording is empty" --reason empty',
  )
}

interface ReasonFlags extends Keyed {
  reason: string
}

export function denyCommand(): Command {
  const command = verb('deny', 'Deny a run manually.', (runs, run_id, { key, reason }: ReasonFlags) =>
    runs.deny({ idempotency_key: key, outcome_reason: reason, run_id }),
  ).requiredOption('--reason <text>', 'the reason to record')
  return examples(
    command,
    'lockstep run deny run_draft1 --reason "no consent"',
    'lockstep run deny "$RUN_ID" --reason held',
  )
}

export function cancelCommand(): Command {
  const command = verb('cancel', 'End a run as cancelled.', (runs, run_id, { key, reason }: ReasonFlags) =>
    runs.cancel({ idempotency_key: key, outcome_reason: reason, run_id }),
  ).requiredOption('--reason <text>', 'the reason to record')
  return examples(
    command,
    'lockstep run cancel run_draft1 --reason "client left"',
    'lockstep run cancel "$RUN_ID" --reason over',
  )
}

export function retryCommand(): Command {
  const command = verb(
    'retry',
    'Create a new run to replace a failed run. The failed run must be marked as retryable.',
    (runs, run_id, flags: ReasonFlags & { newRunId?: string }) =>
      runs.retry({ idempotency_key: flags.key, new_run_id: flags.newRunId, retry_reason: flags.reason, run_id }),
  )
    .requiredOption('--reason <text>', 'the reason for the retry')
    .option('--new-run-id <run_id>', 'the id of the new run (default: a new id)')
  return examples(
    command,
    'lockstep run retry run_draft1 --reason "the tool answers again"',
    'lockstep run retry run_draft1 --reason again --new-run-id run_draft2',
  )
}
