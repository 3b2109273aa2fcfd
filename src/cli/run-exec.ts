import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { Command } from 'commander'
import { codes, LockstepError, messageOf, systemCodeOf } from '../errors.ts'
import { hashRequest } from '../ledger/core.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Begun } from '../ledger/performing.ts'
import { examples, globalsOf, seconds, withLedger } from './context.ts'
import { collect } from './lock-acquire.ts'
import { say } from './output.ts'
import { scopeFrom } from './run-actions.ts'

interface ExecFlags {
  case?: string
  effect?: string[]
  lane: string
  lease: number
  parent?: string
  role?: string
  runId?: string
  scope?: string[]
  tool: string
}

const leaseSecondsDefault = 60
const exitNotFound = 127
const exitCannotStart = 126

export function execCommand(): Command {
  const command = new Command('exec')
    .description('Run a command as one mediated tool call: a run of its own around it, its exit code passed on.')
    .usage('[options] --lane <lane_id> --tool <name> -- <command...>')
    .argument('<words...>', 'the command after --')
    .requiredOption('--lane <lane_id>', 'the lane')
    .requiredOption('--tool <name>', 'the tool that the command is, as the lane names it')
    .option('--parent <run_id>', 'the run above')
    .option('--run-id <run_id>', 'the id of the run made for it (default: minted)')
    .option('--role <role_id>', 'the role')
    .option('--case <case_id>', 'the case, also as a part of the scope')
    .option('--scope <key=value>', 'a part of the scope; repeatable', collect)
    .option('--effect <word>', 'what it brings with it; repeatable', collect)
    .option('--lease <seconds>', 'the run’s lease, kept alive meanwhile', seconds, leaseSecondsDefault)
    .action(async (words: string[], flags: ExecFlags, self: Command) => {
      const globals = globalsOf(self)
      process.exitCode = await execute(words, flags, (work) => withLedger(globals, 'run exec', work))
    })
  return examples(
    command,
    'lockstep run exec --parent run_x1 --lane TOOL_INTERVIEW_CAPTURE --tool transcription.run -- ./transcribe a.wav',
    'lockstep run exec --lane TOOL_INTERVIEW_CAPTURE --tool dictation.start --case CASE-17 --role INTERVIEW_AGENT -- rec',
  )
}

type WithLedger = <T>(work: (ledger: Ledger) => Promise<T>) => Promise<T>

/** Nobody keeps the ledger open while the command runs: it is opened before it, for heartbeats, and after it. */
async function execute(argv: readonly string[], flags: ExecFlags, withLedger: WithLedger): Promise<number> {
  const begun = await withLedger((ledger) => ledger.runs.begin(requestFrom(flags)))
  const heart = new Heart(begun.run.run_id, flags.lease, withLedger)
  const { code, problem } = await untilEnd(argv, heart)
  await heart.stop()
  try {
    await withLedger((ledger) => finish(ledger, begun, { argv, code, problem }))
    return code
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code !== 'RUN_LEASE_EXPIRED') throw error
    say(error.message)
    return codes.LEASE_LOST.exit
  }
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

interface End {
  code: number
  /** Why the command did not even start. */
  problem?: string | undefined
}

/** Records the action and ends the run as the command ended. */
async function finish(
  { runs }: Ledger,
  { decision, run }: Begun,
  { argv, code, problem }: End & { argv: readonly string[] },
): Promise<void> {
  const hashes = {
    request_hash_sha256: hashRequest({ command: argv }),
    response_hash_sha256: hashRequest({ exit_code: code }),
  }
  const of = { run_id: run.run_id }
  const { decision_id } = decision
  if (code === 0) {
    await runs.record({ ...of, ...hashes, decision_id, outcome: 'success' })
    await runs.complete({ ...of, outcome_reason: 'exit 0' })
    return
  }
  const outcome_reason = problem === undefined ? `exit ${code}` : 'not started'
  const error = {
    error_code: problem === undefined ? 'EXIT_CODE' : 'NOT_STARTED',
    message: outcome_reason,
    retryable: true,
  }
  await runs.record({ ...of, ...hashes, decision_id, error, outcome: 'failure', outcome_reason })
  await runs.fail({ ...of, error, outcome_reason })
}

const passedOn = ['SIGHUP', 'SIGTERM', 'SIGQUIT', 'SIGINT'] as const

/** Runs the command in the foreground. Signals are its own; a run that was lost ends it. */
function untilEnd(argv: readonly string[], heart: Heart): Promise<End> {
  return new Promise((resolve) => {
    const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: 'inherit' })
    // A terminal has sent INT and QUIT to the child already.
    const relays = passedOn.map((name) => {
      const isOfTerminal = process.stdin.isTTY && (name === 'SIGINT' || name === 'SIGQUIT')
      return [name, () => void (isOfTerminal || child.kill(name))] as const
    })
    for (const [name, relay] of relays) process.on(name, relay)
    const end = (ended: End) => {
      for (const [name, relay] of relays) process.off(name, relay)
      resolve(ended)
    }
    heart.onLost = () => void child.kill('SIGTERM')
    child.once('error', (error) => {
      say(`${argv[0]} cannot be started: ${messageOf(error)}`)
      end({ code: systemCodeOf(error) === 'ENOENT' ? exitNotFound : exitCannotStart, problem: messageOf(error) })
    })
    child.once('exit', (code, signal) => end({ code: code ?? 128 + constants.signals[signal ?? 'SIGKILL'] }))
  })
}

/** Keeps a run's lease alive, at a third of it; a beat that fails is tried again with the next. */
class Heart {
  onLost: () => void = () => {}
  readonly #timer: NodeJS.Timeout
  #beat: Promise<unknown> = Promise.resolve()

  constructor(runId: string, leaseSeconds: number, withLedger: WithLedger) {
    this.#timer = setInterval(
      () => {
        this.#beat = this.#beat
          .then(() => withLedger((ledger) => ledger.runs.heartbeat({ run_id: runId })))
          .catch((error: unknown) => {
            say(`the run could not be kept alive: ${messageOf(error)}`)
            const isLost =
              error instanceof LockstepError && ['RUN_LEASE_EXPIRED', 'RUN_NOT_ACTIVE'].includes(error.code)
            if (isLost) this.onLost()
          })
      },
      (leaseSeconds * 1000) / 3,
    )
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#beat
  }
}
