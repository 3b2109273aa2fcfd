import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import type { AuditAppendOptions, AuditInput } from '../core/audit/commands.ts'
import type { Entry } from '../core/entry.ts'
import { limits } from '../core/limits.ts'
import { LockstepError } from '../errors.ts'
import { fileError } from '../fs/durable.ts'
import { examples, globalsOf, wholeNumber, withLedger } from './context.ts'
import type { Globals } from './globals.ts'
import { print, relativeTime, writeOut } from './output.ts'

interface AppendFlags {
  correlation?: string
  expectedSize?: number
  file?: string
  guard?: string
  key?: string
  notes?: string
  outcome?: string
  reason?: string
}

export function auditCommand(): Command {
  const audit = new Command('audit').description('Append audit events, and read the ledger’s entries.')
  audit.addCommand(appendCommand())
  audit.addCommand(listCommand())
  audit.addCommand(tailCommand())
  return audit
}

function appendCommand(): Command {
  const command = new Command('append')
    .description(
      'Append system events: from options, one JSON document, or JSON lines on stdin (--file -). All or none.',
    )
    .option('--outcome <outcome>', 'allow, deny, success or failure')
    .option('--reason <text>', 'why (outcome_reason)')
    .option('--notes <text>', 'free text')
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
    'lockstep audit append --file - --guard reports@42 < events.jsonl',
  )
}

function listCommand(): Command {
  const command = new Command('list')
    .description('Print entries, oldest first.')
    .option('--from <seq>', 'first entry', wholeNumber, 0)
    .option('--limit <n>', 'how many', wholeNumber, 100)
    .option('--stream <stream>', 'only this stream, as lock/resource:reports')
    .option('--type <type>', 'only this type, as lock.acquired')
    .option('--jsonl', 'one JSON line an entry: the canonical text that is hashed')
    .action(
      async (
        options: { from: number; limit: number; stream?: string; type?: string; jsonl?: boolean },
        self: Command,
      ) => {
        const globals = globalsOf(self)
        const entries: Entry[] = []
        await withLedger(globals, 'audit list', async (ledger) => {
          for await (const entry of ledger.read({ from: options.from })) {
            if (entries.length >= options.limit) break
            const isWanted =
              (options.stream ?? entry.stream) === entry.stream && (options.type ?? entry.type) === entry.type
            if (isWanted) entries.push(entry)
          }
        })
        if (options.jsonl) for (const entry of entries) writeOut(`${JSON.stringify(entry)}\n`)
        else print(globals, { entries, next: (entries.at(-1)?.seq ?? options.from - 1) + 1 }, () => entries.map(line))
      },
    )
  return examples(
    command,
    'lockstep audit list --type lock.recovered',
    'lockstep audit list --from 100 --limit 20 --jsonl',
  )
}

function tailCommand(): Command {
  const command = new Command('tail')
    .description('Follow the ledger: entries as they come, none skipped, none repeated. Ends on Ctrl-C.')
    .option('--from <seq>', 'first entry (default: the next one)', wholeNumber)
    .option('--count <n>', 'end after this many', wholeNumber)
    .option('--jsonl', 'one JSON line an entry')
    .action(async (options: { from?: number; count?: number; jsonl?: boolean }, self: Command) => {
      const globals = globalsOf(self)
      await tail(globals, options)
    })
  return examples(command, 'lockstep audit tail', 'lockstep audit tail --from 0 --jsonl | jq .type')
}

const pollMillis = 500

/** Nobody else can use the ledger while it is open, so it is opened, read and closed again and again. */
async function tail(
  globals: Globals,
  { from, count, jsonl }: { from?: number; count?: number; jsonl?: boolean },
): Promise<void> {
  let next = from
  let left = count ?? Number.POSITIVE_INFINITY
  for (;;) {
    const entries: Entry[] = []
    await withLedger(globals, 'audit tail', async (ledger) => {
      next ??= ledger.head().size
      for await (const entry of ledger.read({ from: next })) {
        if (entries.length >= Math.min(left, limits.readPageEntries)) break
        entries.push(entry)
      }
    })
    for (const entry of entries) writeOut(`${jsonl || globals.json ? JSON.stringify(entry) : line(entry)}\n`)
    next = (next ?? 0) + entries.length
    left -= entries.length
    if (left <= 0) return
    if (entries.length === 0) await new Promise((resolve) => setTimeout(resolve, pollMillis))
  }
}

/** What a line for people leaves out: said elsewhere on it, or of use to programs only. */
const left = new Set(['acquired', 'by', 'deliverable_id', 'expires_at', 'host_id', 'kind', 'lock_ref', 'name', 'token'])

/** An entry on one line, for people. */
export function line(entry: Entry): string {
  const isShown = ([key, value]: [string, unknown]) => !left.has(key) && value !== null && typeof value !== 'object'
  const facts = Object.entries(entry.data).filter(isShown)
  const text = facts
    .map(([key, value]) => `${key}=${/\s/.test(String(value)) ? JSON.stringify(value) : value}`)
    .join(' ')
  return `${entry.seq}  ${relativeTime(entry.time)}  ${entry.actor.actor_id}  ${entry.type}  ${entry.stream}  ${text}`
}

function eventFrom({ notes, outcome, reason }: AppendFlags): AuditInput {
  if (outcome === undefined) throw new LockstepError('INVALID_INPUT', 'name an --outcome, or a --file with events')
  return {
    action_type: 'system',
    outcome: outcome as AuditInput['outcome'],
    ...(notes === undefined ? {} : { notes }),
    ...(reason === undefined ? {} : { outcome_reason: reason }),
  }
}

function optionsFrom({ correlation, expectedSize, guard, key }: AppendFlags): AuditAppendOptions {
  return {
    ...(correlation === undefined ? {} : { correlation_id: correlation }),
    ...(expectedSize === undefined ? {} : { expected_size: expectedSize }),
    ...(guard === undefined ? {} : { guard: guardFrom(guard) }),
    ...(key === undefined ? {} : { idempotency_key: key }),
  }
}

function guardFrom(text: string): { name: string; token: number } {
  const at = text.lastIndexOf('@')
  if (at < 1) throw new LockstepError('INVALID_INPUT', `--guard is NAME@TOKEN, not "${text}"`)
  return { name: text.slice(0, at), token: wholeNumber(text.slice(at + 1)) }
}

/** Events of a file or stdin: one document, an array, or a JSON line each. Errors: INVALID_INPUT with the line. */
function readEvents(file: string): AuditInput[] {
  let text: string
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8').replace(/^\ufeff/, '')
  } catch (error) {
    throw fileError(error, `reading ${file}`)
  }
  if (text.length > limits.documentBytes * 64) throw new LockstepError('LIMIT_EXCEEDED', `${file} is too large`)
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
