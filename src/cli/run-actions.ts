import { Command } from 'commander'
import type { Action } from '../domain/policy/action.ts'
import { codes, LockstepError } from '../errors.ts'
import type { ArtifactRef } from '../kernel/artifact-ref.ts'
import { limits } from '../kernel/limits.ts'
import type { DecidedAction } from '../nouns/runs/performing.ts'
import { examples, globalsOf, withLedger } from './context.ts'
import { readText } from './input-file.ts'
import { collect } from './lock-acquire.ts'
import { print } from './output.ts'
import { runLines } from './run-text.ts'

/** The options that describe the action of a run. */
export interface ActionFlags {
  action: string
  artifacts?: string
  effect?: string[]
  lane: string
  mode?: string
  scope?: string[]
  target: string
}

/** Adds the options of an action to a command. */
export function withAction(command: Command): Command {
  return command
    .requiredOption('--action <type>', 'the type of the action: tool_call, db_write, db_read, promotion or export')
    .requiredOption('--lane <lane_id>', 'the lane of the action')
    .requiredOption('--target <name>', 'the name of the tool or table')
    .option('--mode <mode>', 'the kind of access to a table, such as append')
    .option('--scope <key=value>', 'a member of the scope; repeatable; true and false become booleans', collect)
    .option(
      '--effect <word>',
      'an effect of the action, in the words that lanes use to prohibit effects; repeatable',
      collect,
    )
    .option(
      '--artifacts <file>',
      'the artifacts that it reads or passes on: a file with a JSON array of artifact refs, or - for stdin',
    )
}

export function actionFrom(flags: ActionFlags): Action {
  return {
    action_type: flags.action as Action['action_type'],
    lane_id: flags.lane,
    scope: scopeFrom(flags.scope ?? []),
    target: { name: flags.target, ...(flags.mode === undefined ? {} : { mode: flags.mode }) },
    ...(flags.effect === undefined ? {} : { effects: flags.effect }),
    ...(flags.artifacts === undefined ? {} : { artifacts: refsIn(flags.artifacts) }),
  }
}

/** Parses `key=value` pairs into a scope; the values true and false become booleans. Errors: INVALID_INPUT. */
export function scopeFrom(pairs: readonly string[]): Action['scope'] {
  const typed = ([key, value]: [string, string]) => [key, value === 'true' || (value === 'false' ? false : value)]
  return Object.fromEntries(Object.entries(pairsFrom('--scope', pairs)).map(typed))
}

/** Parses the `key=value` pairs of an option. Errors: INVALID_INPUT. */
export function pairsFrom(option: string, pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at < 1) throw new LockstepError('INVALID_INPUT', `${option} must be KEY=VALUE, not "${pair}"`)
      return [pair.slice(0, at), pair.slice(at + 1)]
    }),
  )
}

/** Reads artifact refs from a file or stdin. Errors: INVALID_INPUT, LIMIT_EXCEEDED, NOT_FOUND. */
export function refsIn(file: string | undefined): ArtifactRef[] | undefined {
  return file === undefined ? undefined : (jsonIn(file) as ArtifactRef[])
}

/** Reads a JSON document from a file or stdin. Errors: INVALID_INPUT, LIMIT_EXCEEDED, NOT_FOUND. */
export function jsonIn(file: string): unknown {
  const text = readText(file, limits.documentBytes)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new LockstepError('INVALID_INPUT', `${file} is not JSON`, { cause })
  }
}

export function authorizeCommand(): Command {
  const command = withAction(
    new Command('authorize')
      .description(
        'Ask whether a run may do an action. The exit code is 0 for allow, and 4 for deny, which ends the run as denied.',
      )
      .argument('<run_id>', 'the id of the run')
      .option('--key <key>', 'request key: repeating a request with its key returns the first answer'),
  ).action(async (runId: string, flags: ActionFlags & { key?: string }, self: Command) => {
    const globals = globalsOf(self)
    const request = { action: actionFrom(flags), idempotency_key: flags.key, run_id: runId }
    const decided = await withLedger(globals, 'run authorize', (ledger) => ledger.runs.authorize(request))
    print(globals, decided, () => decidedLines(decided))
    if (decided.decision === 'deny') process.exitCode = codes.RUN_DENIED.exit
  })
  return examples(
    command,
    'lockstep run authorize run_draft1 --action tool_call --lane TOOL_INTERVIEW_CAPTURE --target dictation.start --scope case_id=CASE-17 --scope client_session_id=s-1 --scope run_id=run_draft1',
    'lockstep run authorize run_draft2 --action db_write --lane WRITE_INTAKE_ARTIFACTS --target transcripts --mode append --scope case_id=CASE-17 --scope run_id=run_draft2',
  )
}

/** A decision, for people. */
export function decidedLines({
  decision,
  decision_id,
  missing,
  reason,
  rule_ids,
}: Omit<DecidedAction, 'replayed'>): string[] {
  return [
    `${decision}${reason === null ? '' : `: ${reason}`} by ${rule_ids.join(', ')}`,
    ...(missing.length === 0 ? [] : [`missing: ${missing.join(', ')}`]),
    ...(decision_id === '' ? [] : [`decision_id ${decision_id}`]),
  ]
}

interface RecordFlags {
  decision: string
  errorCode?: string
  key?: string
  message?: string
  outcome: string
  outputs?: string
  reason?: string
  requestHash?: string
  responseHash?: string
  retryable?: boolean
}

export function recordCommand(): Command {
  const command = new Command('record')
    .description('Record the outcome of an allowed action. Each action is recorded once.')
    .argument('<run_id>', 'the id of the run')
    .requiredOption('--decision <decision_id>', 'the decision that allowed the action')
    .requiredOption('--outcome <outcome>', 'the outcome: success or failure')
    .option('--reason <text>', 'the reason for the outcome (outcome_reason)')
    .option('--request-hash <sha256>', 'the SHA-256 of the request in RFC 8785 form')
    .option('--response-hash <sha256>', 'the SHA-256 of the response in RFC 8785 form')
    .option('--outputs <file>', 'the outputs: a file with a JSON array of artifact refs, or - for stdin')
    .option('--error-code <code>', 'a code for the error; add --message to explain it')
    .option('--message <text>', 'the text of the error, without private data')
    .option('--retryable', 'mark the error as retryable')
    .option('--key <key>', 'request key: repeating a request with its key returns the first answer')
    .action(async (runId: string, flags: RecordFlags, self: Command) => {
      const globals = globalsOf(self)
      const { errorCode, message = errorCode ?? '' } = flags
      const error = errorCode && { error_code: errorCode, message, retryable: flags.retryable === true }
      const record = await withLedger(globals, 'run record', (ledger) =>
        ledger.runs.record({
          decision_id: flags.decision,
          error: error || undefined,
          idempotency_key: flags.key,
          outcome: flags.outcome as 'success',
          outcome_reason: flags.reason,
          output_artifacts: refsIn(flags.outputs),
          request_hash_sha256: flags.requestHash,
          response_hash_sha256: flags.responseHash,
          run_id: runId,
        }),
      )
      print(globals, record, () => runLines(record))
    })
  return examples(
    command,
    'lockstep run record run_draft1 --decision evt_abc_7 --outcome success --outputs refs.json',
    'lockstep run record run_draft1 --decision evt_abc_7 --outcome failure --error-code TIMEOUT --message "no answer"',
  )
}
