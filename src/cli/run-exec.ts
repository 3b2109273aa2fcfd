import { Command, Option } from 'commander'
import { isTerminal } from '../domain/run/moves.ts'
import { codes, LockstepError, messageOf } from '../errors.ts'
import type { LocalLedger } from '../ledger.ts'
import type { Begun, PerformRequest } from '../nouns/runs/performing.ts'
import { type Ended, runChild } from '../supervise/exec-child.ts'
import { bootMillis, KeptLease, type WithLedger } from '../supervise/kept-lease.ts'
import { placeOfCommand } from '../supervise/launch.ts'
import { SignalRelay } from '../supervise/signal-relay.ts'
import { type Survivors, survivorChoices } from '../supervise/survivors.ts'
import { hashRequest } from '../writer/core.ts'
import { aroundDashes, examples, globalsOf, withLedger } from './context.ts'
import { say } from './output.ts'
import { collect, scopeIn, seconds } from './values.ts'

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
    .description('Run a command as one mediated tool call, with its own run. The exit code is that of the command.')
    .usage('[options] --lane <lane_id> --tool <name> -- <command...>')
    .argument('[words...]', '-- and the command')
    .requiredOption('--lane <lane_id>', 'the lane of the tool call')
    .requiredOption('--tool <name>', 'the name that the lane uses for this command')
    .option('--parent <run_id>', 'the parent run')
    .option('--run-id <run_id>', 'the id of the new run (default: a new id)')
    .option('--role <role_id>', 'the role that the actor claims; the policy denies a call without one')
    .option('--case <case_id>', 'the case of the run; it also becomes case_id in the scope')
    .option('--scope <key=value>', 'a member of the scope; repeatable', collect)
    .option(
      '--effect <word>',
      'an effect of the tool call, in the words that lanes use to prohibit effects; repeatable',
      collect,
    )
    .option(
      '--lease <seconds>',
      'the lease of the run, which is renewed while the command runs',
      seconds,
      leaseSecondsDefault,
    )
    .option(
      '--timeout <seconds>',
      'end the command after this time and mark the run as failed (default: no limit)',
      seconds,
    )
    .option('--grace <seconds>', 'the time between TERM and KILL, as far as the lease allows', seconds, 10)
    .addOption(
      new Option(
        '--survivors <what>',
        'how to treat processes that the command leaves running: wait for them for at most one lease, kill them at once, or ignore them',
      )
        .choices(survivorChoices)
        .default('wait'),
    )
    .action(async (words: string[], flags: ExecFlags, self: Command) => {
      const globals = globalsOf(self)
      const { before, behind } = aroundDashes(self, words)
      if (before.length > 0 || behind.length === 0) {
        throw new LockstepError('INVALID_INPUT', 'the command must follow --, without other words before it', {
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

/** Executes the command. The ledger is open only before it, for heartbeats, and after it. */
async function execute(argv: readonly string[], flags: ExecFlags, withLedger: WithLedger): Promise<number> {
  const place = placeOfCommand()
  const stop = new AbortController()
  const relay = new SignalRelay(place, stop)
  const graceMillis = flags.grace * 1000
  const leaseMillis = flags.lease * 1000
  try {
    const { begun, lease } = await withLedger(async (ledger) => {
      const requestedAt = bootMillis()
      const { begin } = await import('../nouns/runs/performing.ts')
      const begun = await begin(ledger, requestFrom(flags))
      const { run_id } = begun.run
      const { size: knownSize } = await ledger.head.get()
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

/** How to renew and check the lease of a run, and which errors mean its loss. */
function keepingRun(run_id: string) {
  return {
    renew: ({ runs }: LocalLedger) => runs.heartbeat({ run_id }),
    look: async ({ runs }: LocalLedger) => {
      const { status } = await runs.get({ run_id })
      if (isTerminal(status))
        throw new LockstepError('RUN_NOT_ACTIVE', `${run_id} is ${status}`, { details: { run_id } })
    },
    isLoss: isLost,
  }
}

/** Whether an error means that the run has already ended. */
function isLost(error: unknown): error is LockstepError {
  return (
    error instanceof LockstepError &&
    ['RUN_LEASE_EXPIRED', 'RUN_NOT_ACTIVE', 'INVALID_STATE_TRANSITION'].includes(error.code)
  )
}

function requestFrom(flags: ExecFlags): PerformRequest {
  const of = flags.case === undefined ? {} : { case_id: flags.case }
  return {
    action: {
      action_type: 'tool_call',
      lane_id: flags.lane,
      scope: { ...of, ...scopeIn(flags.scope ?? []) },
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

/** Records the action and ends the run according to the result of the command. Resolves with the exit code. */
async function finish(
  { runs }: LocalLedger,
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
    // The run ended before the command did, so the result of the command cannot be recorded in it.
    say(messageOf(error))
    return codes.LEASE_LOST.exit
  }
}
