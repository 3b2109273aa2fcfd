import { Command } from 'commander'
import type { AuditAppendOptions, AuditInput } from '../core/audit/commands.ts'
import { limits } from '../core/limits.ts'
import { LockstepError } from '../errors.ts'
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
    .description('Append events: from options, one JSON document, or JSON lines on stdin (--file -). All or none.')
    .option('--outcome <outcome>', 'allow, deny, success or failure')
    .option('--action-type <type>', 'system, or the action that --decision allowed', 'system')
    .option('--target <type:name>', 'what it is about, as artifact:report-17')
    .option('--reason <text>', 'why (outcome_reason)')
    .option('--notes <text>', 'free text')
    .option('--severity <severity>', 'info, warn, error or critical')
    .option('--run <run_id>', 'the running run that it is of')
    .option('--decision <decision_id>', 'the allow under which the action was done')
    .option('--corrects <event_id>', 'the event that it puts right; that one stays as it is')
    .option('--file <file>', 'an event, an array of events, or JSON lines; - for stdin')
    .option('--guard <name@token>', 'append only if this lock’s grant is current')
    .option('--key <key>', 'request key: the same key and content again gives the first answer')
    .option('--expected-size <n>', 'append only at this size of the ledger', wholeNumber)
    .option('--correlation <id>', 'correlation_id')
    .action(async (flags: AppendFlags, self: Command) => {
      const globals = globalsOf(self)
      const events = flags.file === undefined ? [eventFrom(flags)] : readEvents(flags.file)
      await withLedger(globals, 'audit append', async (ledger) => {
        const appended = await ledger.audit.append(events, optionsFrom(flags))
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
  if (outcome === undefined) throw new LockstepError('INVALID_INPUT', 'name an --outcome, or a --file with events')
  // The schema at the library's boundary says what of this is none of its words.
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
  if (name === '') throw new LockstepError('INVALID_INPUT', `--target is TYPE:NAME, not "${text}"`)
  return { name, target_type }
}

function optionsFrom({ correlation, expectedSize, guard, key }: AppendFlags): AuditAppendOptions {
  return {
    ...(correlation === undefined ? {} : { correlation_id: correlation }),
    ...(expectedSize === undefined ? {} : { expected_size: expectedSize }),
    ...(guard === undefined ? {} : { guard: guardFrom(guard) }),
    ...(key === undefined ? {} : { idempotency_key: key }),
  }
}

/** Errors: INVALID_INPUT. */
export function guardFrom(text: string): { name: string; token: number } {
  const at = text.lastIndexOf('@')
  if (at < 1) throw new LockstepError('INVALID_INPUT', `--guard is NAME@TOKEN, not "${text}"`)
  return { name: text.slice(0, at), token: wholeNumber(text.slice(at + 1)) }
}

/** Events of a file or stdin: one document, an array, or a JSON line each. Errors: INVALID_INPUT with the line. */
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
