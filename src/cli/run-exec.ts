import { Command, Option } from 'commander'
import { isTerminal } from '../core/run/moves.ts'
import { codes, LockstepError, messageOf } from '../errors.ts'
import { hashRequest } from '../ledger/core.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Begun } from '../ledger/performing.ts'
import { aroundDashes, examples, globalsOf, seconds, type WithLedger, withLedger } from './context.ts'
import { type Ended, runChild } from './exec-child.ts'
import { bootMillis, KeptLease } from './kept-lease.ts'
import { placeOfCommand } from './launch.ts'
import { collect } from './lock-acquire.ts'
import { say } from './output.ts'
import { scopeFrom } from './run-actions.ts'
import { SignalRelay } from './signal-relay.ts'
import { type Survivors, survivorChoices } from './survivors.ts'

interface ExecFlags {
  case?: string
  effect?: string[]
  grace: number
  lane: string
  lease: number
  parent?: string
  role?: string
  runId?: string
  scope?: string[]
  survivors: Survivors
  timeout?: number
  tool: string
}

const leaseSecondsDefault = 60

export function execCommand(): Command {
  const command = new Command('exec')
    .description('Run a command as one mediated tool call: a run of its own around it, its exit code passed on.')
    .usage('[options] --lane <lane_id> --tool <name> -- <command...>')
    .argument('[words...]', 'the command after --')
    .requiredOption('--lane <lane_id>', 'the lane')
    .requiredOption('--tool <name>', 'the tool that the command is, as the lane names it')
    .option('--parent <run_id>', 'the run above')
    .option('--run-id <run_id>', 'the id of the run made for it (default: minted)')
    .option('--role <role_id>', 'the role')
    .option('--case <case_id>', 'the case, also as a part of the scope')
    .option('--scope <key=value>', 'a part of the scope; repeatable', collect)
    .option('--effect <word>', 'what it brings with it; repeatable', collect)
    .option('--lease <seconds>', 'the run’s lease, kept alive meanwhile', seconds, leaseSecondsDefault)
    .option('--timeout <seconds>', 'end the command when it takes longer, and fail the run', seconds)
    .option('--grace <seconds>', 'between TERM and KILL when it is to end, where the lease allows', seconds, 10)
    .addOption(
      new Option(
        '--survivors <what>',
        'what becomes of processes that the command leaves running: waited for, for a lease at most, ended at once, or left',
      )
        .choices(survivorChoices)
        .default('wait'),
    )
    .action(async (words: string[], flags: ExecFlags, self: Command) => {
      const globals = globalsOf(self)
      const { before, behind } = aroundDashes(self, words)
      if (before.length > 0 || behind.length === 0) {
        throw new LockstepError('INVALID_INPUT', 'the command stands behind --, and nothing before it', {
          hint: 'lockstep run exec --lane LANE --tool TOOL -- COMMAND…',
        })
      }
      process.exitCode = await execute(behind, flags, (work) => withLedger(globals, 'run exec', work))
    })
  return examples(
    command,
    'lockstep run exec --parent run_draft1 --lane TOOL_INTERVIEW_CAPTURE --tool transcription.run --role INTERVIEW_AGENT --case CASE-17 --scope client_session_id=s-1 -- ./transcribe a.wav',
    'lockstep run exec --lane TOOL_INTERVIEW_CAPTURE --tool dictation.start --role INTERVIEW_AGENT --case CASE-17 --scope client_session_id=s-1 --timeout 10m -- rec',
  )
}

/** Nobody keeps the ledger open while the command runs: it is opened before it, for heartbeats, and after it. */
async function execute(argv: readonly string[], flags: ExecFlags, withLedger: WithLedger): Promise<number> {
  const place = placeOfCommand()
  const stop = new AbortController()
  const relay = new SignalRelay(place, stop)
  const graceMillis = flags.grace * 1000
  const leaseMillis = flags.lease * 1000
  try {
    const { begun, lease } = await withLedger(async (ledger) => {
      const requestedAt = bootMillis()
      const begun = await ledger.runs.begin(requestFrom(flags))
      const { run_id } = begun.run
      const knownSize = ledger.head().size
      const kept = { ...keepingRun(run_id), name: run_id, dir: ledger.dir, knownSize, leaseMillis, requestedAt }
      return { begun, lease: new KeptLease({ ...kept, withLedger, say }, graceMillis) }
    })
    const ended = await runChild({
      argv,
      graceMillis,
      lease,
      leaseMillis,
      place,
      relay,
      stop: stop.signal,
      survivors: flags.survivors,
      timeoutMillis: flags.timeout === undefined ? undefined : flags.timeout * 1000,
    })
    await lease.stop()
    return await withLedger((ledger) => finish(ledger, begun, { ...ended, argv }))
  } finally {
    relay.end()
  }
}

/** How the lease of a run is kept, and by what it is lost. */
function keepingRun(run_id: string) {
  return {
    renew: ({ runs }: Ledger) => runs.heartbeat({ run_id }),
    look: ({ runs }: Ledger) => {
      const { status } = runs.get(run_id)
      if (isTerminal(status))
        throw new LockstepError('RUN_NOT_ACTIVE', `${run_id} is ${status}`, { details: { run_id } })
    },
    isLoss: isLost,
  }
}

/** Whether a run has ended behind the back of who works in it. */
function isLost(error: unknown): error is LockstepError {
  return (
    error instanceof LockstepError &&
    ['RUN_LEASE_EXPIRED', 'RUN_NOT_ACTIVE', 'INVALID_STATE_TRANSITION'].includes(error.code)
  )
}

function requestFrom(flags: ExecFlags): Parameters<Ledger['runs']['begin']>[0] {
  const of = flags.case === undefined ? {} : { case_id: flags.case }
  return {
    action: {
      action_type: 'tool_call',
      lane_id: flags.lane,
      scope: { ...of, ...scopeFrom(flags.scope ?? []) },
      target: { name: flags.tool },
      ...(flags.effect === undefined ? {} : { effects: flags.effect }),
    },
    ...of,
    lease_duration_s: flags.lease,
    parent_run_id: flags.parent,
    role_id: flags.role,
    run_id: flags.runId,
  }
}

/** Records the action and ends the run as the command ended. Resolves with the exit code. */
async function finish(
  { runs }: Ledger,
  { decision, run }: Begun,
  { argv, code, failure }: Ended & { argv: readonly string[] },
): Promise<number> {
  const hashes = {
    request_hash_sha256: hashRequest({ command: argv }),
    response_hash_sha256: hashRequest({ exit_code: code }),
  }
  const of = { run_id: run.run_id }
  const acted = { ...of, ...hashes, decision_id: decision.decision_id }
  try {
    if (failure === null) {
      await runs.record({ ...acted, outcome: 'success' })
      await runs.complete({ ...of, outcome_reason: 'exit_0' })
    } else {
      const error = { ...failure, retryable: true }
      await runs.record({ ...acted, error, outcome: 'failure', outcome_reason: failure.message })
      await runs.fail({ ...of, error, outcome_reason: failure.message })
    }
    return code
  } catch (error) {
    if (!isLost(error)) throw error
    // What the command did after its run had ended is not the run's.
    say(messageOf(error))
    return codes.LEASE_LOST.exit
  }
}
