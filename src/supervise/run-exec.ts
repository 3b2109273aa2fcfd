import type { LedgerHere } from '../api/api.ts'
import type { DecidedAction } from '../api/shapes/runs.ts'
import { commandSchema, type Program } from '../domain/policy/command.ts'
import { isTerminal } from '../domain/run/moves.ts'
import type { RunRecord } from '../domain/run/run-record.ts'
import { codes, LockstepError, messageOf } from '../errors.ts'
import type { Actor } from '../kernel/ids.ts'
import { authorizeIn, type Begun, completeIn, createFor, type PerformRequest } from '../nouns/runs/performing.ts'
import { hashRequest } from '../writer/core.ts'
import { ignoringHangup } from './gate.ts'
import { bootMillis, KeptLease, type WithLedger } from './kept-lease.ts'
import { launch, type Place, placeOfCommand, type What, withActor } from './launch.ts'
import { programOf } from './program.ts'
import { keepLease, type Limits, type Survivors, untilEnd } from './runner.ts'
import { SignalRelay } from './signal-relay.ts'

export interface ExecOptions {
  /** The actor of the command. By default the command does not learn who created the run. */
  actor?: Actor | undefined
  argv: readonly string[]
  /** The run and its one action, a tool call. */
  request: PerformRequest & { lease_duration_s: number }
  /** The time between TERM and KILL. */
  graceMillis: number
  survivors: Survivors
  timeoutMillis?: number | undefined
  withLedger: WithLedger
  /** Prints a message for people. */
  say: (text: string) => void
}

/** How a command ended: its exit code, and the error of a failed run. Texts are one word, as some lanes demand. */
interface Ended {
  code: number
  failure: { error_code: string; message: string } | null
}

/**
 * Runs a command as the one action of a new run, and resolves with the exit code: the command's own, 128+n if a signal
 * ended it, 127 if it is not found, 126 if it cannot be run, 8 after the time limit, or 76 if the run was lost. The
 * ledger is open only before the command, for heartbeats, and after it. Rejects with the errors of `begin`; then
 * the command never ran.
 */
export async function superviseAsRun(options: ExecOptions): Promise<number> {
  const { argv, graceMillis, request, say, withLedger } = options
  const place = placeOfCommand(withActor(options.actor))
  const stop = new AbortController()
  const relay = new SignalRelay(place, stop)
  const leaseMillis = request.lease_duration_s * 1000
  const program = programOf(argv[0] ?? '', place.env)
  const command = commandOf(argv, program)
  try {
    const started = await withLedger(async (ledger) => {
      const requestedAt = bootMillis()
      const run = await createFor(ledger, request, keyOf(options))
      if (run.status !== 'created') return { code: firstExitOf(run) }
      const begun = await authorizeIn(ledger, run, { ...request, action: { ...request.action, command } })
      const { run_id } = begun.run
      const { size: knownSize } = await ledger.head.get()
      const kept = { ...keepingRun(run_id), name: run_id, dir: ledger.dir, knownSize, leaseMillis, requestedAt }
      return { begun, lease: new KeptLease({ ...kept, withLedger, say }, graceMillis) }
    })
    if ('code' in started) {
      say(`${request.run_id} has ended before, and its command is not run again`)
      return started.code
    }
    const { begun, lease } = started
    const inRun = { ...place, env: { ...place.env, LOCKSTEP_RUN_ID: begun.run.run_id } }
    const limits: Limits = {
      graceMillis,
      stop: stop.signal,
      survivorsMillis: leaseMillis,
      timeoutMillis: options.timeoutMillis,
    }
    const what = whatToRun(options, { decision: begun.decision, place: inRun, program })
    const ended = await runToEnd({ ...options, what }, lease, { limits, place: inRun, relay })
    await lease.stop()
    return await withLedger((ledger) => finish(ledger, begun, { ...ended, argv })).catch((error: unknown) => {
      if (!isLost(error)) throw error
      // The run ended before the command did, so the result of the command cannot be recorded in it.
      say(messageOf(error))
      return codes.LEASE_LOST.exit
    })
  } finally {
    relay.end()
  }
}

/** Under a run_id of the caller, a second request with the same command is the first one again. */
function keyOf({ argv, request: { action, run_id } }: ExecOptions): Parameters<typeof createFor>[2] {
  const parameters_hash_sha256 = hashRequest({ action, command: argv })
  const inputs = { artifact_refs: [], parameters_hash_sha256 }
  return run_id === undefined ? { inputs } : { idempotency_key: `run exec ${run_id}`, inputs }
}

/**
 * The exit code of a command that an earlier call ran. Errors: RUN_DENIED, RUN_OUTCOME_UNKNOWN (the command may have
 * run, so only a retry, with a reason, runs it again).
 */
function firstExitOf({ outcome, run_id, status }: RunRecord): number {
  if (status === 'denied')
    throw new LockstepError('RUN_DENIED', `${run_id} is denied: ${outcome}`, { details: { run_id } })
  const code = status === 'completed' || status === 'failed' ? /^exit_(\d{1,3})$/.exec(outcome ?? '')?.[1] : undefined
  if (code !== undefined) return Number(code)
  throw new LockstepError(
    'RUN_OUTCOME_UNKNOWN',
    `${run_id} is ${status}, and the outcome of its command is not recorded`,
    {
      details: { run_id, status },
      hint: `See "lockstep run why ${run_id}". To run the command again, use "lockstep run retry" with a reason.`,
    },
  )
}

/** What a run is asked about: the words of its command, or only their digest if they are too long, and its program. */
function commandOf(argv: readonly string[], program: Program | undefined): PerformRequest['action']['command'] {
  const known = { argv: [...argv], program }
  return commandSchema.safeParse(known).success ? known : { argv_sha256: hashRequest({ command: argv }) }
}

/**
 * How to start the command. A program that the policy was asked about is started by the path that was looked at, under
 * the name that it was found by, so that a link that changes meanwhile changes nothing.
 */
function whatToRun(
  { argv }: Pick<ExecOptions, 'argv'>,
  { decision, place, program }: { decision: DecidedAction; place: Place; program: Program | undefined },
): What {
  const [name = '', ...words] = argv
  const isBound = program !== undefined && decision.rule_ids.some((rule) => rule.endsWith('/commands'))
  if (place.isHangupIgnored) return ignoringHangup(isBound ? [program.found, ...words] : argv, place.env)
  return isBound ? { argv0: program.found, program: program.real, words } : { program: name, words }
}

/** Runs the command under the lease of its run. */
async function runToEnd(
  { argv, say, survivors, what }: ExecOptions & { what: What },
  lease: KeptLease,
  { limits, place, relay }: { limits: Limits; place: Place; relay: SignalRelay },
): Promise<Ended> {
  const { stop } = limits
  if (stop.aborted) return ended(Number(stop.reason), 'NOT_STARTED', 'stopped')
  const child = await launch({ ...what, place }, { name: argv[0] ?? '', say })
  if (typeof child === 'number') return ended(child, 'NOT_STARTED', 'not_started')
  try {
    relay.passOnTo(child)
    const work = { child, lease, say }
    await keepLease(work)
    const end = await untilEnd(work, { limits, relay, survivors })
    if (end.why === 'exited') {
      return end.code === 0 ? { code: 0, failure: null } : ended(end.code, 'EXIT_CODE', `exit_${end.code}`)
    }
    if (end.why === 'stopped') return ended(Number(stop.reason), 'STOPPED', 'not_ended')
    const notEnded = end.left.length > 0 ? 'not_ended' : undefined
    return end.why === 'lost'
      ? ended(codes.LEASE_LOST.exit, 'RUN_LOST', notEnded ?? 'run_lost')
      : ended(codes.TIMED_OUT.exit, 'TIMED_OUT', notEnded ?? 'timed_out')
  } finally {
    await child.guard.dismiss()
  }
}

function ended(code: number, error_code: string, message: string): Ended {
  return { code, failure: { error_code, message } }
}

/** How to renew and check the lease of a run, and which errors mean its loss. */
function keepingRun(run_id: string) {
  return {
    renew: ({ runs }: LedgerHere) => runs.heartbeat({ run_id }),
    look: async ({ runs }: LedgerHere) => {
      const { ended_ancestor: above, status } = await runs.why({ run_id })
      if (isTerminal(status)) {
        throw new LockstepError('RUN_NOT_ACTIVE', `${run_id} is ${status}`, { details: { run_id } })
      }
      // An older service does not say it.
      if (!above) return
      const message = `${above.run_id}, above ${run_id}, is ${above.status}`
      throw new LockstepError('RUN_ANCESTOR_ENDED', message, { details: { run_id } })
    },
    isLoss: isLost,
  }
}

/** Whether an error means that the run, or a run above it, has already ended. */
function isLost(error: unknown): error is LockstepError {
  return (
    error instanceof LockstepError &&
    ['RUN_ANCESTOR_ENDED', 'RUN_LEASE_EXPIRED', 'RUN_NOT_ACTIVE', 'INVALID_STATE_TRANSITION'].includes(error.code)
  )
}

/** Records the action and ends the run according to the result of the command. Resolves with the exit code. */
async function finish(
  ledger: LedgerHere,
  { decision, run }: Begun,
  { argv, code, failure }: Ended & { argv: readonly string[] },
): Promise<number> {
  const { runs } = ledger
  const hashes = {
    request_hash_sha256: hashRequest({ command: argv }),
    response_hash_sha256: hashRequest({ exit_code: code }),
  }
  const of = { run_id: run.run_id }
  const acted = { ...of, ...hashes, decision_id: decision.decision_id }
  if (failure === null) {
    await runs.record({ ...acted, outcome: 'success' })
    await completeIn(ledger, { ...of, outcome_reason: 'exit_0' })
  } else {
    const error = { ...failure, retryable: true }
    await runs.record({ ...acted, error, outcome: 'failure', outcome_reason: failure.message })
    await runs.fail({ ...of, error, outcome_reason: `exit_${code}` })
  }
  return code
}
