import { Command } from 'commander'
import type { AppendEvents } from '../api/shapes/audit.ts'
import type { AuditInput } from '../domain/audit/commands.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { examples, globalsOf, wholeNumber, withLedger } from './context.ts'
import { readText } from './input-file.ts'
import { print } from './output.ts'

interface AppendFlags {
  actionType: string
  correlation?: string
  corrects?: string
  decision?: string
  expectedSize?: number
  file?: string
  guard?: string
  key?: string
  notes?: string
  outcome?: string
  reason?: string
  run?: string
  severity?: string
  target?: string
}

export function appendCommand(): Command {
  const command = new Command('append')
    .description('Append all events or none. They come from the options, or from a file or stdin (--file).')
    .option('--outcome <outcome>', 'allow, deny, success or failure; required unless --file is given')
    .option('--action-type <type>', '"system", or the action that --decision allowed', 'system')
    .option('--target <type:name>', 'the target of the event, such as artifact:report-17')
    .option('--reason <text>', 'the reason for the outcome (outcome_reason)')
    .option('--notes <text>', 'notes, as free text')
    .option('--severity <severity>', 'info, warn, error or critical')
    .option('--run <run_id>', 'the run that the event belongs to; it must be running')
    .option('--decision <decision_id>', 'the decision that allowed the action')
    .option('--corrects <event_id>', 'the earlier event that this event corrects; the earlier event is not changed')
    .option('--file <file>', 'read an event, an array of events or JSON lines from this file; - for stdin')
    .option('--guard <name@token>', 'append only if this grant of the lock is current')
    .option('--key <key>', 'request key: repeating a request with its key returns the first answer')
    .option('--expected-size <n>', 'append only if the ledger has this size', wholeNumber)
    .option('--correlation <id>', 'the correlation_id to record')
    .action(async (flags: AppendFlags, self: Command) => {
      const globals = globalsOf(self)
      const events = flags.file === undefined ? [eventFrom(flags)] : readEvents(flags.file)
      await withLedger(globals, 'audit append', async (ledger) => {
        const appended = await ledger.audit.append({ ...optionsFrom(flags), events })
        print(globals, appended, () =>
          appended.events.map(({ event_id, seq }) => `${seq} ${event_id}${appended.replayed ? ' (replayed)' : ''}`),
        )
      })
    })
  return examples(
    command,
    'lockstep audit append --outcome success --reason "nightly backup"',
    'lockstep audit append --outcome failure --reason "wrong file" --corrects evt_0a1b2c3d4e5f6g7h_41',
    'lockstep audit append --file - --guard reports@42 < events.jsonl',
  )
}

function eventFrom(flags: AppendFlags): AuditInput {
  const { actionType, corrects, decision, notes, outcome, reason, run, severity, target } = flags
  if (outcome === undefined) throw new LockstepError('INVALID_INPUT', 'specify --outcome, or --file with events')
  // The library's schema rejects unknown values.
  return {
    action_type: actionType,
    outcome,
    ...(corrects === undefined ? {} : { corrects }),
    ...(decision === undefined ? {} : { decision_id: decision }),
    ...(notes === undefined ? {} : { notes }),
    ...(reason === undefined ? {} : { outcome_reason: reason }),
    ...(run === undefined ? {} : { run_id: run }),
    ...(severity === undefined ? {} : { severity }),
    ...(target === undefined ? {} : { target: targetFrom(target) }),
  } as AuditInput
}

function targetFrom(text: string): { name: string; target_type: string } {
  const [, target_type = '', name = ''] = /^([a-z_]+):(.+)$/.exec(text) ?? []
  if (name === '') throw new LockstepError('INVALID_INPUT', `--target must be TYPE:NAME, not "${text}"`)
  return { name, target_type }
}

function optionsFrom({ correlation, expectedSize, guard, key }: AppendFlags): Omit<AppendEvents, 'events'> {
  return {
    ...(correlation === undefined ? {} : { correlation_id: correlation }),
    ...(expectedSize === undefined ? {} : { expected_size: expectedSize }),
    ...(guard === undefined ? {} : { guard: guardFrom(guard) }),
    ...(key === undefined ? {} : { idempotency_key: key }),
  }
}

/** Parses a guard of the form NAME@TOKEN. Errors: INVALID_INPUT. */
export function guardFrom(text: string): { name: string; token: number } {
  const at = text.lastIndexOf('@')
  if (at < 1) throw new LockstepError('INVALID_INPUT', `--guard must be NAME@TOKEN, not "${text}"`)
  return { name: text.slice(0, at), token: wholeNumber(text.slice(at + 1)) }
}

/** Reads events from a file or stdin: one document, an array, or JSON lines. Errors: INVALID_INPUT with the line. */
function readEvents(file: string): AuditInput[] {
  const text = readText(file, limits.documentBytes * 64)
  const whole = tryParse(text)
  if (whole !== undefined) return Array.isArray(whole) ? whole : [whole as AuditInput]
  return text
    .split('\n')
    .map((source, index) => ({ source, number: index + 1 }))
    .filter(({ source }) => source.trim() !== '')
    .map(({ source, number }) => {
      const value = tryParse(source)
      if (value === undefined)
        throw new LockstepError('INVALID_INPUT', `line ${number} of ${file} is not JSON`, { details: { line: number } })
      return value as AuditInput
    })
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
