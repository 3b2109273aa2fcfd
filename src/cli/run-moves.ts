import { Command } from 'commander'
import type { RunRecord } from '../core/run/run-record.ts'
import type { Runs } from '../ledger/runs.ts'
import { examples, globalsOf, seconds, withLedger } from './context.ts'
import { collect } from './lock-acquire.ts'
import { print } from './output.ts'
import { pairsFrom, refsIn } from './run-actions.ts'
import { runLines } from './run-text.ts'

/** A verb on one run that answers with its record. */
function verb<Flags>(
  name: string,
  description: string,
  ask: (runs: Runs, runId: string, flags: Flags) => Promise<RunRecord>,
): Command {
  return new Command(name)
    .description(description)
    .argument('<run_id>', 'the run')
    .option('--key <key>', 'request key: the same key and content again gives the first answer')
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
    'Pin a run to the policy and let it act, or deny it.',
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
    .option('--lease <seconds>', 'fail the run unless a heartbeat comes within this time', seconds)
    .option('--lock <name>', 'the lock it holds: it records and completes only while that grant is current')
    .option('--pin-lanes <sha>', 'the pin of lanes.yaml, as the caller knows it')
    .option('--pin-roles <sha>', 'the pin of roles.yaml')
    .option('--taxonomy <name=version>', 'a version of coa, tags or entities that it works with; repeatable', collect)
  return examples(command, 'lockstep run start run_draft1 --lease 10m', 'lockstep run start run_draft1 --lock reports')
}

export function heartbeatCommand(): Command {
  const command = verb('heartbeat', 'Start a run’s lease anew.', (runs, run_id, { key }: Keyed) =>
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
  const command = verb('complete', 'End a run well.', (runs, run_id, flags: CompleteFlags) =>
    runs.complete({
      discard_turn: flags.discardTurn === true,
      idempotency_key: flags.key,
      outcome_reason: flags.reason,
      output_artifacts: refsIn(flags.outputs),
      release_lock: flags.releaseLock === true,
      run_id,
    }),
  )
    .requiredOption('--reason <text>', 'what came of it (outcome_reason)')
    .option('--outputs <file>', 'artifact refs as a JSON array; - for stdin')
    .option('--release-lock', 'release the lock it was started with, in the same append')
    .option('--discard-turn', 'reject a turn that is staged or validated, which otherwise keeps the run open')
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
  const command = verb('fail', 'End a run with an error.', (runs, run_id, flags: FailFlags) =>
    runs.fail({
      error: { error_code: flags.errorCode, message: flags.message, retryable: flags.retryable === true },
      idempotency_key: flags.key,
      outcome_reason: flags.reason ?? flags.errorCode,
      output_artifacts: refsIn(flags.outputs),
      run_id,
    }),
  )
    .requiredOption('--error-code <code>', 'what kind of error')
    .requiredOption('--message <text>', 'the error, without what must stay private')
    .option('--reason <text>', 'outcome_reason (default: the error code)')
    .option('--retryable', 'a retry may succeed')
    .option('--outputs <file>', 'artifact refs as a JSON array, where the lane allows partial outputs')
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
  const command = verb('deny', 'Deny a run by hand.', (runs, run_id, { key, reason }: ReasonFlags) =>
    runs.deny({ idempotency_key: key, outcome_reason: reason, run_id }),
  ).requiredOption('--reason <text>', 'why')
  return examples(
    command,
    'lockstep run deny run_draft1 --reason "no consent"',
    'lockstep run deny "$RUN_ID" --reason held',
  )
}

export function cancelCommand(): Command {
  const command = verb('cancel', 'Stop a run on purpose.', (runs, run_id, { key, reason }: ReasonFlags) =>
    runs.cancel({ idempotency_key: key, outcome_reason: reason, run_id }),
  ).requiredOption('--reason <text>', 'why')
  return examples(
    command,
    'lockstep run cancel run_draft1 --reason "client left"',
    'lockstep run cancel "$RUN_ID" --reason over',
  )
}

export function retryCommand(): Command {
  const command = verb(
    'retry',
    'Create a new run in the place of one that failed and may be retried.',
    (runs, run_id, flags: ReasonFlags & { newRunId?: string }) =>
      runs.retry({ idempotency_key: flags.key, new_run_id: flags.newRunId, retry_reason: flags.reason, run_id }),
  )
    .requiredOption('--reason <text>', 'why it is retried')
    .option('--new-run-id <run_id>', 'the id of the new run (default: minted)')
  return examples(
    command,
    'lockstep run retry run_draft1 --reason "the tool answers again"',
    'lockstep run retry run_draft1 --reason again --new-run-id run_draft2',
  )
}
